import { readFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { rootCertificates } from 'node:tls';
import {
  knownHosts,
  TunnelDialer,
  type Dialer,
  type NodeSpec,
  type TunnelDialerOptions,
} from 'tunnel-dialer';
import { KubeletClient, type KubeletClientOptions } from 'tunnel-dialer/kubelet';
import type {
  KUBELET_LOGIN_OPTIONS,
  KUBELET_OPTIONS,
  LOGIN_OPTIONS,
  NODE_OPTIONS,
} from './access-options.js';
import { hostAndPort, UsageError, type CommandLine } from './command-line.js';
import { listingOf, sourceOf } from './node-list.js';
import { reportingHostKeys, type Report } from './reporting.js';

/** Nodes, and all that is needed to be let in by them and by their kubelets. */
export interface Access {
  readonly nodes: readonly NodeSpec[];
  readonly ssh: TunnelDialerOptions['ssh'];
  readonly kubelet: Omit<KubeletClientOptions, 'node'>;
}

/** The node that the command line names. @throws UsageError */
export function nodeFrom(line: CommandLine<typeof NODE_OPTIONS>): NodeSpec {
  const text = line.text('node');
  if (text === undefined)
    throw new UsageError('--node is missing: the address of the node that everything goes through');
  const { host, port } = hostAndPort('--node', text, 22);
  const hostKey = line.text('host-key');
  if (line.text('known-hosts') !== undefined && hostKey !== undefined)
    throw new UsageError('--known-hosts and --host-key exclude each other');
  return { name: host, address: host, port, selfAddress: line.text('self-address'), hostKey };
}

/** The nodes that the command line names, or the file that it names lists. @throws UsageError */
export async function nodesFrom(
  line: CommandLine<typeof NODE_OPTIONS & { nodes: { type: 'string' } }>,
  signal: AbortSignal,
): Promise<readonly NodeSpec[]> {
  const file = line.text('nodes');
  if (file === undefined) return [nodeFrom(line)];
  if (line.text('node') !== undefined) throw new UsageError('--node and --nodes exclude each other');
  const source = sourceOf({ file });
  const { nodes } = await listingOf(source, signal);
  if (nodes.length === 0) throw new UsageError(`${source.name}: there are no nodes in it`);
  return nodes;
}

/** How to log in to these nodes. @throws UsageError */
export function loginFrom(
  line: CommandLine<typeof LOGIN_OPTIONS>,
  nodes: readonly NodeSpec[],
): TunnelDialerOptions['ssh'] {
  const agent = line.variable('SSH_AUTH_SOCK');
  const key = line.text('key');
  if (key === undefined && !agent) {
    throw new UsageError(
      'there is nothing to log in with: give --key FILE, or start ssh-agent, which sets SSH_AUTH_SOCK',
    );
  }
  const path = line.text('known-hosts');
  const needsKnownHosts = path !== undefined || nodes.some(({ hostKey }) => hostKey === undefined);
  return {
    username: line.text('user') ?? userInfo().username,
    ...(key === undefined
      ? { agent }
      : { privateKey: read('key', key), passphrase: line.secret('passphrase') }),
    ...(needsKnownHosts && { hostKeys: knownHosts(path ?? join(homedir(), '.ssh', 'known_hosts')) }),
  };
}

/** How to know the kubelets, and to be known to them. @throws UsageError */
export function kubeletLoginFrom(
  line: CommandLine<typeof KUBELET_LOGIN_OPTIONS>,
): Omit<KubeletClientOptions, 'node'> {
  const [cert, key, ca] = [line.text('cert'), line.text('client-key'), line.text('ca')];
  const isInsecure = line.flag('insecure-skip-tls-verify');
  if ((cert === undefined) !== (key === undefined))
    throw new UsageError('--cert and --client-key belong together');
  if (ca !== undefined && isInsecure)
    throw new UsageError('--ca and --insecure-skip-tls-verify exclude each other');
  return {
    ...(isInsecure
      ? { insecureSkipTLSVerify: true }
      : { certificateAuthority: read('ca', ca) ?? rootCertificates }),
    clientCertificate: read('cert', cert),
    clientKey: read('client-key', key),
    tokenFile: line.text('token-file'),
  };
}

/** One node and its kubelet, as the command line has them. @throws UsageError */
export function kubeletAccessFrom(
  line: CommandLine<typeof NODE_OPTIONS & typeof KUBELET_OPTIONS>,
  errors: Writable,
): Access {
  warnIfUnverified(line, errors);
  const nodes = [nodeFrom(line)];
  return {
    nodes,
    ssh: loginFrom(line, nodes),
    kubelet: {
      ...kubeletLoginFrom(line),
      port: line.integer('kubelet-port', 10250, 1, 65535),
      ...(!line.flag('insecure-skip-tls-verify') && { serverName: line.text('tls-server-name') }),
    },
  };
}

/** A client of one node's kubelet. */
export function openKubelet(
  dialer: Dialer,
  { name, address, kubeletPort }: NodeSpec,
  options: Omit<KubeletClientOptions, 'node'>,
): KubeletClient {
  return new KubeletClient(dialer, { ...options, node: { name, address, port: kubeletPort } });
}

/** A client of the only node's kubelet. */
export function openOnlyKubelet(dialer: Dialer, { nodes, kubelet }: Access): KubeletClient {
  const [node, ...others] = nodes;
  if (node === undefined || others.length > 0) throw new UsageError('one node is needed');
  return openKubelet(dialer, node, kubelet);
}

export function warnIfUnverified(line: CommandLine<typeof KUBELET_LOGIN_OPTIONS>, errors: Writable): void {
  if (!line.flag('insecure-skip-tls-verify')) return;
  errors.write(
    'WARNING: the kubelet is not verified: whoever answers can read your token and forge what you see\n',
  );
}

/** A dialer that connects when it is needed. */
export function createDialer(
  { nodes, ssh }: Pick<Access, 'nodes' | 'ssh'>,
  report: Report,
  options: Partial<TunnelDialerOptions> = {},
): TunnelDialer {
  const { hostKeys } = ssh;
  return new TunnelDialer({
    nodes,
    ssh: { ...ssh, ...(hostKeys !== undefined && { hostKeys: reportingHostKeys(hostKeys, report) }) },
    pool: { minConnections: 0, maxConnections: 1 },
    ...options,
  });
}

/** @throws UsageError */
export function read(option: string, path: string): string;
export function read(option: string, path: string | undefined): string | undefined;
export function read(option: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code = 'unreadable' } = error as NodeJS.ErrnoException;
    throw new UsageError(`--${option}: cannot read ${path} (${code})`);
  }
}
