import { flag } from './query.js';

/** The kubelet's names for the streams of an exec or attach (k8s.io/kubelet, pkg/cri/streaming; core/v1 ExecStdinParam and so on). */
const STREAMS = { stdin: 'input', stdout: 'output', stderr: 'error', tty: 'tty' } as const;

/** What a kubelet is asked for in an exec or attach (pkg/registry/core/pod, `streamParams`). */
export function execParameters(
  query: URLSearchParams,
  { withCommand }: { withCommand: boolean },
): URLSearchParams {
  const parameters = new URLSearchParams();
  for (const [name, parameter] of Object.entries(STREAMS)) {
    if (flag(query, name)) parameters.set(parameter, '1');
  }
  for (const argument of withCommand ? query.getAll('command') : []) parameters.append('command', argument);
  return parameters;
}

/** What a kubelet is asked for in a port-forward; over SPDY the ports are told later. */
export function portForwardParameters(query: URLSearchParams): URLSearchParams {
  const ports = query.getAll('ports').flatMap((list) => list.split(','));
  return new URLSearchParams(ports.length === 0 ? {} : { port: ports.join(',') });
}
