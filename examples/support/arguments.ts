import { isIP } from 'node:net';
import { userInfo } from 'node:os';
import { parseArgs } from 'node:util';

export const HELP = `Usage: kubelet-logs --node ADDRESS [options] POD CONTAINER

Prints a container's log as its kubelet tells it, through SSH to the node. Needs neither the
API server nor anything on the node but sshd.

The node
  --node ADDRESS[:PORT]      where its sshd listens; the port is 22 unless given
  --user NAME                who logs in (default: you)
  --key FILE                 private key (default: your ssh-agent, SSH_AUTH_SOCK)
  --known-hosts FILE         host keys that you trust (default: ~/.ssh/known_hosts)
  --host-key SHA256:...      the node's host key itself, in place of known_hosts

Its kubelet
  --kubelet-port PORT        (default: 10250)
  --self-address ADDRESS     where the kubelet listens as seen from the node itself, such as
                             127.0.0.1 (default: the address of --node)
  --ca FILE                  authority that signed the kubelet's certificate
  --cert FILE                your certificate, with ...
  --client-key FILE          ... its key; or else
  --token-file FILE          your bearer token
  --tls-server-name NAME     a name in the kubelet's certificate, if the address is not
  --insecure-skip-tls-verify do not ask who answers. Never with a token that matters.

The log
  -n, --namespace NAME       (default: default)
  -f, --follow               keep printing what is added, until Ctrl-C
      --tail LINES           only the last lines
      --since TIME           only what is newer: 90s, 10m, 2h, 1d, 2026-01-31T12:00:00Z
  -t, --timestamps           put the time before each line
  -p, --previous             the log of the container's run before this one

  -v, --verbose              tell on stderr what happens
  -h, --help                 print this

Every option with a value can come from the environment: --known-hosts is
KUBELET_LOGS_KNOWN_HOSTS, --node is KUBELET_LOGS_NODE. A passphrase can only come from there:
KUBELET_LOGS_PASSPHRASE.

Examples
  Follow a log with your ssh-agent and the certificates that kubeadm gave the API server:

    kubelet-logs --node 10.0.0.11 --user tunnel -f --tail 20 -n shop \\
      --ca /etc/kubernetes/pki/ca.crt \\
      --cert /etc/kubernetes/pki/apiserver-kubelet-client.crt \\
      --client-key /etc/kubernetes/pki/apiserver-kubelet-client.key \\
      cart-7d4b9c cart

  What did the container say before it crashed? With a key file and a service account's token,
  for a kubelet whose certificate it signed itself:

    kubelet-logs --node node-1.example.net:2222 --user tunnel --key ~/.ssh/id_tunnel -p \\
      --self-address 127.0.0.1 --ca kubelet.crt --tls-server-name node-1 \\
      --token-file token cart-7d4b9c cart

Exit codes: 0 printed; 1 failed, and stderr says why; 2 wrong usage; 130 ended by Ctrl-C.
`;

/** The command was given something that it cannot use. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const OPTIONS = {
  node: { type: 'string' },
  user: { type: 'string' },
  key: { type: 'string' },
  'known-hosts': { type: 'string' },
  'host-key': { type: 'string' },
  'kubelet-port': { type: 'string' },
  'self-address': { type: 'string' },
  ca: { type: 'string' },
  cert: { type: 'string' },
  'client-key': { type: 'string' },
  'token-file': { type: 'string' },
  'tls-server-name': { type: 'string' },
  'insecure-skip-tls-verify': { type: 'boolean' },
  namespace: { type: 'string', short: 'n' },
  follow: { type: 'boolean', short: 'f' },
  tail: { type: 'string' },
  since: { type: 'string' },
  timestamps: { type: 'boolean', short: 't' },
  previous: { type: 'boolean', short: 'p' },
  verbose: { type: 'boolean', short: 'v' },
  help: { type: 'boolean', short: 'h' },
} as const;

type OptionName = keyof typeof OPTIONS;

/** The command line, understood. Files are named, not read. */
export interface Options {
  readonly node: HostAndPort;
  readonly user: string;
  readonly key: string | undefined;
  readonly knownHosts: string | undefined;
  readonly hostKey: string | undefined;
  readonly kubeletPort: number;
  readonly selfAddress: string | undefined;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly clientKey: string | undefined;
  readonly tokenFile: string | undefined;
  readonly tlsServerName: string | undefined;
  readonly insecureSkipTlsVerify: boolean;
  readonly container: ContainerName;
  readonly log: LogOptions;
  readonly verbose: boolean;
}

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

export interface ContainerName {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
}

export interface LogOptions {
  readonly follow?: boolean | undefined;
  readonly tailLines?: number | undefined;
  readonly sinceSeconds?: number | undefined;
  /** RFC 3339. */
  readonly sinceTime?: string | undefined;
  readonly timestamps?: boolean | undefined;
  readonly previous?: boolean | undefined;
}

/** @throws UsageError */
export function parseArguments(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Options | 'help' {
  const { values, positionals } = parse(argv);
  if (values.help === true) return 'help';
  const text = (name: OptionName): string | undefined => {
    const given = values[name] ?? environment[`KUBELET_LOGS_${name.toUpperCase().replaceAll('-', '_')}`];
    if (given === '') throw new UsageError(`--${name} is empty`);
    return typeof given === 'string' ? given : undefined;
  };
  const flag = (name: OptionName): boolean => values[name] === true;

  const node = text('node');
  if (node === undefined)
    throw new UsageError('--node is missing: the address of the node that the pod runs on');
  const [pod, container, ...rest] = positionals;
  if (pod === undefined || container === undefined || rest.length > 0) {
    throw new UsageError(
      `the pod and the container are needed, and nothing else; got ${positionals.length} names`,
    );
  }
  if ((text('cert') === undefined) !== (text('client-key') === undefined)) {
    throw new UsageError('--cert and --client-key belong together');
  }
  if (text('known-hosts') !== undefined && text('host-key') !== undefined) {
    throw new UsageError('--known-hosts and --host-key exclude each other');
  }
  if (text('ca') !== undefined && flag('insecure-skip-tls-verify')) {
    throw new UsageError('--ca and --insecure-skip-tls-verify exclude each other');
  }
  return {
    node: hostAndPort(node),
    user: text('user') ?? userInfo().username,
    key: text('key'),
    knownHosts: text('known-hosts'),
    hostKey: text('host-key'),
    kubeletPort: integer('kubelet-port', text('kubelet-port') ?? '10250', 1, 65535),
    selfAddress: text('self-address'),
    ca: text('ca'),
    cert: text('cert'),
    clientKey: text('client-key'),
    tokenFile: text('token-file'),
    tlsServerName: text('tls-server-name'),
    insecureSkipTlsVerify: flag('insecure-skip-tls-verify'),
    container: {
      namespace: name('the namespace', text('namespace') ?? 'default'),
      pod: name('the pod', pod),
      container: name('the container', container),
    },
    log: {
      follow: flag('follow'),
      timestamps: flag('timestamps'),
      previous: flag('previous'),
      ...tail(text('tail')),
      ...since(text('since')),
    },
    verbose: flag('verbose'),
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    // Node's advice on how to escape a dash does not help here.
    throw new UsageError((error as Error).message.replace(/\. To specify .*$/s, ''));
  }
}

function hostAndPort(text: string): HostAndPort {
  const [, bracketed, plain, port = '22'] = /^(?:\[(.*)\]|([^:]*))(?::(.*))?$/.exec(text) ?? [];
  const host = isIP(text) === 6 ? text : (bracketed ?? plain);
  if (!host)
    throw new UsageError(`--node must be ADDRESS, ADDRESS:PORT or [IPV6]:PORT, got ${JSON.stringify(text)}`);
  return { host, port: integer('node', isIP(text) === 6 ? '22' : port, 1, 65535) };
}

function integer(option: OptionName, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  const what = option === 'node' ? 'the port of --node' : `--${option}`;
  throw new UsageError(`${what} must be a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`);
}

/** A path segment of its own: `..` would lead elsewhere. */
function name(what: string, text: string): string {
  // RFC 1123 subdomains, as Kubernetes' own names of objects.
  if (/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(text) && !text.includes('..')) return text;
  throw new UsageError(
    `${what} must be a name of Kubernetes (a-z, 0-9, '-' and '.'), got ${JSON.stringify(text)}`,
  );
}

function tail(text: string | undefined): LogOptions {
  return text === undefined || text === 'all'
    ? {}
    : { tailLines: integer('tail', text, 0, Number.MAX_SAFE_INTEGER) };
}

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

function since(text: string | undefined): LogOptions {
  if (text === undefined) return {};
  if (/^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text)))
    return { sinceTime: text };
  const [, amount, unit = ''] = /^(\d+)([smhd])$/.exec(text) ?? [];
  const sinceSeconds = Number(amount) * (SECONDS[unit] ?? NaN);
  if (sinceSeconds > 0) return { sinceSeconds };
  throw new UsageError(
    `--since must be like 90s, 10m, 2h, 1d or 2026-01-31T12:00:00Z, got ${JSON.stringify(text)}`,
  );
}
