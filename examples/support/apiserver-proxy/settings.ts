import type { NodeSpec } from 'tunnel-dialer';
import type { KubeletAddressType } from 'tunnel-dialer/kubelet';
import { bastionsFrom } from '../bastions.js';
import { hostAndPort, UsageError, type CommandLine, type HostAndPort } from '../command-line.js';
import { KUBELET_ADDRESS_TYPES, type OPTIONS } from './arguments.js';

/** Where a pod finds what its service account is given (kubernetes.io/docs, "Accessing the API from a Pod"). */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
}

/** How the proxy proves to the upstream who it is. */
export type OwnCredentials = { readonly tokenFile: string } | Certificate;

/** The command line, understood. Files are named, not read. */
export interface Settings {
  readonly listen: HostAndPort;
  readonly serving: Certificate;
  readonly clientCa: string | undefined;
  readonly upstream: { readonly server: string; readonly caFile: string } & OwnCredentials;
  readonly lookupsAs: 'proxy' | 'caller';
  readonly kubelet: {
    readonly caFile: string | undefined;
    readonly certificate: Certificate | undefined;
    readonly verifySubject: boolean;
    readonly insecureSkipTlsVerify: boolean;
    readonly addressTypes: readonly KubeletAddressType[];
  };
  readonly nodes: NodePlace;
  readonly status: HostAndPort;
  readonly shutdownDelayMs: number;
  readonly drainMs: number;
  readonly quiet: boolean;
}

/** Where the nodes are listed. */
export type NodePlace =
  | { readonly kind: 'file'; readonly file: string }
  | {
      readonly kind: 'cluster';
      /** None: the upstream. */
      readonly kubeconfig: string | undefined;
      readonly context: string | undefined;
      readonly annotations: boolean;
      readonly bastions: readonly NodeSpec[];
    };

type Line = CommandLine<typeof OPTIONS>;

/** @throws UsageError */
export function settingsFrom(line: Line): Settings {
  if (line.words.length > 0)
    throw new UsageError(`nothing but options is needed, got ${line.words.join(' ')}`);
  const serving = certificateIn(line, 'tls-cert', 'tls-key');
  if (serving === undefined)
    throw new UsageError('--tls-cert and --tls-key are missing: what the proxy shows to kubectl');
  return {
    listen: hostAndPort('--listen', line.text('listen') ?? '127.0.0.1:8443', 8443, 0),
    serving,
    clientCa: line.text('client-ca'),
    upstream: upstreamIn(line),
    lookupsAs: lookupsAsIn(line),
    kubelet: kubeletIn(line),
    nodes: nodesIn(line),
    status: hostAndPort('--status', line.text('status') ?? '127.0.0.1:9090', 9090, 0),
    shutdownDelayMs: line.integer('shutdown-delay', 0, 0, 3600) * 1000,
    drainMs: line.integer('drain', 30, 0, 3600) * 1000,
    quiet: line.flag('quiet'),
  };
}

function certificateIn(
  line: Line,
  cert: 'tls-cert' | 'kubelet-cert' | 'upstream-client-certificate',
  key: 'tls-key' | 'kubelet-key' | 'upstream-client-key',
): Certificate | undefined {
  const [certFile, keyFile] = [line.text(cert), line.text(key)];
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile };
  if (certFile === keyFile) return undefined;
  throw new UsageError(`--${cert} and --${key} belong together`);
}

function upstreamIn(line: Line): Settings['upstream'] {
  const given = line.text('upstream');
  const own = ownCredentialsIn(line);
  if (given !== undefined) {
    const caFile = line.text('upstream-ca');
    if (caFile === undefined)
      throw new UsageError('--upstream-ca is missing: the authority of the upstream certificate');
    if (own === undefined)
      throw new UsageError(
        '--upstream-token-file is missing, or --upstream-client-certificate: the proxy looks nodes up as itself',
      );
    return { server: given, caFile, ...own };
  }
  const [host, port] = [
    line.variable('KUBERNETES_SERVICE_HOST'),
    line.variable('KUBERNETES_SERVICE_PORT') ?? '443',
  ];
  if (host === undefined)
    throw new UsageError(
      '--upstream is missing: the URL of the kube-apiserver, such as https://10.0.0.1:6443',
    );
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    caFile: line.text('upstream-ca') ?? `${SERVICE_ACCOUNT}/ca.crt`,
    ...(own ?? { tokenFile: `${SERVICE_ACCOUNT}/token` }),
  };
}

function ownCredentialsIn(line: Line): OwnCredentials | undefined {
  const tokenFile = line.text('upstream-token-file');
  const certificate = certificateIn(line, 'upstream-client-certificate', 'upstream-client-key');
  if (tokenFile === undefined) return certificate;
  if (certificate === undefined) return { tokenFile };
  throw new UsageError('--upstream-token-file and --upstream-client-certificate exclude each other');
}

function lookupsAsIn(line: Line): 'proxy' | 'caller' {
  const text = line.text('lookups-as') ?? 'proxy';
  if (text === 'proxy' || text === 'caller') return text;
  throw new UsageError(`--lookups-as must be proxy or caller, got ${JSON.stringify(text)}`);
}

function kubeletIn(line: Line): Settings['kubelet'] {
  const caFile = line.text('kubelet-ca');
  const insecureSkipTlsVerify = line.flag('kubelet-insecure-skip-tls-verify');
  if ((caFile === undefined) !== insecureSkipTlsVerify)
    throw new UsageError('--kubelet-ca is needed, or --kubelet-insecure-skip-tls-verify; not both');
  return {
    caFile,
    certificate: certificateIn(line, 'kubelet-cert', 'kubelet-key'),
    verifySubject: line.flag('kubelet-verify-subject'),
    insecureSkipTlsVerify,
    addressTypes: addressTypesIn(line),
  };
}

function addressTypesIn(line: Line): readonly KubeletAddressType[] {
  const text = line.text('kubelet-preferred-address-types');
  if (text === undefined) return KUBELET_ADDRESS_TYPES;
  return text.split(',').map((word) => {
    const type = KUBELET_ADDRESS_TYPES.find((known) => known === word.trim());
    if (type !== undefined) return type;
    throw new UsageError(
      `--kubelet-preferred-address-types knows ${KUBELET_ADDRESS_TYPES.join(', ')}, got ${JSON.stringify(word)}`,
    );
  });
}

function nodesIn(line: Line): NodePlace {
  const [kubeconfig, file, context] = [line.text('kubeconfig'), line.text('nodes'), line.text('context')];
  const [annotations, bastions] = [line.flag('node-annotations'), bastionsFrom(line)];
  if (context !== undefined && kubeconfig === undefined)
    throw new UsageError('--context belongs to --kubeconfig');
  if (file === undefined) return { kind: 'cluster', kubeconfig, context, annotations, bastions };
  if (kubeconfig !== undefined) throw new UsageError('--kubeconfig and --nodes exclude each other');
  if (annotations)
    throw new UsageError('--node-annotations and --nodes exclude each other: the file has hostKey and port');
  if (bastions.length > 0)
    throw new UsageError(
      '--bastion and --nodes exclude each other: in the file it is a node with bastion: true',
    );
  return { kind: 'file', file };
}
