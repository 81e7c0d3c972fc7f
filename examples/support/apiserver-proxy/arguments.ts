import { LOGIN_HELP, LOGIN_OPTIONS } from '../access-options.js';
import { hostAndPort, UsageError, type CommandLine, type HostAndPort } from '../command-line.js';

export const HELP = `Usage: apiserver-proxy [options]

Stands in front of a kube-apiserver that has no route to its nodes. Logs, exec, attach, port-forward
and the proxies of nodes, pods and services go through SSH to the nodes; everything else is the
upstream's. Whoever asks is who the upstream says, and may do what the upstream says.

  --config FILE              YAML with any of the options below under their names, without dashes

Whom it serves
  --listen ADDRESS:PORT      (default: 127.0.0.1:8443)
  --tls-cert FILE            certificate that it shows, read again when it changes, with ...
  --tls-key FILE             ... its key
  --client-ca FILE           authority of client certificates; who shows one is impersonated
                             (default: bearer tokens only)

The upstream
  --upstream URL             (default: the cluster that this pod runs in)
  --upstream-ca FILE         authority of its certificate (default: the pod's)
  --upstream-token-file FILE what the proxy shows for itself (default: the pod's)
  --lookups-as proxy|caller  whose rights look pods and services up (default: proxy, as in
                             kube-apiserver)

The kubelets
  --kubelet-ca FILE          authority of their certificates
  --kubelet-cert FILE        the certificate that they are shown, with ...
  --kubelet-key FILE         ... its key
  --kubelet-verify-subject   it must be the node's own: system:node:NAME
  --kubelet-insecure-skip-tls-verify
                             do not ask who answers

The nodes
  --kubeconfig FILE          where they are listed (default: the cluster that this pod runs in)
  --nodes FILE               a YAML or JSON file that lists them, in place of a cluster
${LOGIN_HELP}
  --status ADDRESS:PORT      status page, /healthz, /readyz and /metrics (default: 127.0.0.1:9090)
  --drain SECONDS            how long open streams may go on after SIGTERM (default: 30)
  --quiet                    no access log
  -h, --help                 print this

Every option with a value can come from the environment: --tls-cert is APISERVER_PROXY_TLS_CERT.
The command line wins over the environment, and that over --config. A passphrase of the SSH key
can only come from there: APISERVER_PROXY_PASSPHRASE.

Exit codes: 0 ended by SIGTERM or Ctrl-C, streams drained; 1 failed; 2 wrong usage.
`;

export const OPTIONS = {
  config: { type: 'string' },
  listen: { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'client-ca': { type: 'string' },
  upstream: { type: 'string' },
  'upstream-ca': { type: 'string' },
  'upstream-token-file': { type: 'string' },
  'lookups-as': { type: 'string' },
  'kubelet-ca': { type: 'string' },
  'kubelet-cert': { type: 'string' },
  'kubelet-key': { type: 'string' },
  'kubelet-verify-subject': { type: 'boolean' },
  'kubelet-insecure-skip-tls-verify': { type: 'boolean' },
  kubeconfig: { type: 'string' },
  nodes: { type: 'string' },
  ...LOGIN_OPTIONS,
  status: { type: 'string' },
  drain: { type: 'string' },
  quiet: { type: 'boolean' },
} as const;

/** Where a pod finds what its service account is given (kubernetes.io/docs, "Accessing the API from a Pod"). */
const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
}

/** The command line, understood. Files are named, not read. */
export interface Settings {
  readonly listen: HostAndPort;
  readonly serving: Certificate;
  readonly clientCa: string | undefined;
  readonly upstream: {
    readonly server: string;
    readonly caFile: string;
    readonly tokenFile: string | undefined;
  };
  readonly lookupsAs: 'proxy' | 'caller';
  readonly kubelet: {
    readonly caFile: string | undefined;
    readonly certificate: Certificate | undefined;
    readonly verifySubject: boolean;
    readonly insecureSkipTlsVerify: boolean;
  };
  readonly nodes: { readonly kubeconfig: string } | { readonly file: string } | { readonly inCluster: true };
  readonly status: HostAndPort;
  readonly drainMs: number;
  readonly quiet: boolean;
}

/** @throws UsageError */
export function settingsFrom(line: CommandLine<typeof OPTIONS>): Settings {
  if (line.words.length > 0)
    throw new UsageError(`nothing but options is needed, got ${line.words.join(' ')}`);
  const serving = certificateIn(line, 'tls-cert', 'tls-key');
  if (serving === undefined)
    throw new UsageError('--tls-cert and --tls-key are missing: what the proxy shows to kubectl');
  const upstream = upstreamIn(line);
  const clientCa = line.text('client-ca');
  if (clientCa !== undefined && upstream.tokenFile === undefined)
    throw new UsageError(
      '--client-ca needs --upstream-token-file: who comes with a certificate is asked for in the name of the proxy',
    );
  return {
    listen: hostAndPort('--listen', line.text('listen') ?? '127.0.0.1:8443', 8443, 0),
    serving,
    clientCa,
    upstream,
    lookupsAs: lookupsAsIn(line),
    kubelet: kubeletIn(line),
    nodes: nodesIn(line),
    status: hostAndPort('--status', line.text('status') ?? '127.0.0.1:9090', 9090, 0),
    drainMs: line.integer('drain', 30, 0, 3600) * 1000,
    quiet: line.flag('quiet'),
  };
}

type Line = CommandLine<typeof OPTIONS>;

function certificateIn(
  line: Line,
  cert: 'tls-cert' | 'kubelet-cert',
  key: 'tls-key' | 'kubelet-key',
): Certificate | undefined {
  const [certFile, keyFile] = [line.text(cert), line.text(key)];
  if (certFile !== undefined && keyFile !== undefined) return { certFile, keyFile };
  if (certFile === keyFile) return undefined;
  throw new UsageError(`--${cert} and --${key} belong together`);
}

function upstreamIn(line: Line): Settings['upstream'] {
  const given = line.text('upstream');
  if (given !== undefined) {
    const caFile = line.text('upstream-ca');
    if (caFile === undefined)
      throw new UsageError('--upstream-ca is missing: the authority of the upstream certificate');
    return { server: given, caFile, tokenFile: line.text('upstream-token-file') };
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
    tokenFile: line.text('upstream-token-file') ?? `${SERVICE_ACCOUNT}/token`,
  };
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
  };
}

function nodesIn(line: Line): Settings['nodes'] {
  const [kubeconfig, file] = [line.text('kubeconfig'), line.text('nodes')];
  if (kubeconfig !== undefined && file !== undefined)
    throw new UsageError('--kubeconfig and --nodes exclude each other');
  if (kubeconfig !== undefined) return { kubeconfig };
  return file === undefined ? { inCluster: true } : { file };
}
