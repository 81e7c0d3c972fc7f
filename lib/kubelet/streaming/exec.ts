import type { KubeletAccess } from '../kubelet-access.js';
import { pathOf } from '../names.js';
import { openWire } from './open-wire.js';
import {
  checkAttach,
  checkExec,
  type AttachOptions,
  type ExecOptions,
  type StreamingChoices,
} from './options.js';
import { RemoteProcess } from './remote-process.js';

/** v5 is v4 and an end of stdin; kubelets know it from 1.36 on (KEP-4006). */
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

/**
 * Runs a command in a container: `/exec/{namespace}/{pod}/{container}` (kubernetes/pkg/kubelet/server/server.go).
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`; {@link KubeletError} when the kubelet refuses; {@link KubeletTimeoutError}; {@link StreamingError}; errors of the dial and of
 *   TLS as they are; the signal's reason
 */
export async function openExec(access: KubeletAccess, options: ExecOptions): Promise<RemoteProcess> {
  const checked = checkExec(options);
  const command = checked.command.map((word): [string, string] => ['command', word]);
  return open(access, 'exec', checked, command);
}

/** Attaches to the process of a container: `/attach/{namespace}/{pod}/{container}`. Otherwise as {@link openExec}. */
export async function openAttach(access: KubeletAccess, options: AttachOptions): Promise<RemoteProcess> {
  return open(access, 'attach', checkAttach(options), []);
}

function open(
  access: KubeletAccess,
  verb: string,
  { namespace, pod, container, timeoutMs, signal, ...choices }: ReturnType<typeof checkAttach>,
  more: readonly [string, string][],
): Promise<RemoteProcess> {
  const query = new URLSearchParams([...parametersOf(choices), ...more]);
  const path = `${pathOf(verb, namespace, pod, container)}?${query.toString()}`;
  const request = { path, protocols: PROTOCOLS, timeoutMs, signal };
  return openWire(access, request, (wire) => new RemoteProcess(wire, choices, signal));
}

/** The kubelet's names, which are not the API's (k8s.io/api/core/v1, `ExecStdinParam` and so on). */
function parametersOf({ stdin, stdout, stderr, tty }: StreamingChoices): [string, string][] {
  const wanted: [string, boolean][] = [
    ['input', stdin],
    ['output', stdout],
    ['error', stderr],
    ['tty', tty],
  ];
  return wanted.flatMap(([name, isWanted]): [string, string][] => (isWanted ? [[name, '1']] : []));
}
