import { InvalidOptionError } from './errors.js';
import type { InstallKey } from './fleet/install-key.js';
import type { Nodes } from './fleet/node-source.js';
import { checkProbe, type ProbeOptions } from './fleet/probe.js';
import { isHostKeyVerifier, type HostKeyVerifier } from './ssh/host-keys/verifier.js';
import {
  callable,
  describeKind,
  integer,
  milliseconds,
  objectOf,
  oneOf,
  optional,
  username,
  withDefault,
  type Check,
  type Checked,
} from './validation.js';

/** How to log in to the nodes, and how to know them. */
export interface SshOptions {
  /** User to log in as, unless the node says otherwise. */
  username: string;
  /** Private key in PEM or OpenSSH form; it is parsed once. */
  privateKey?: string | Buffer | undefined;
  /** Passphrase of an encrypted private key. */
  passphrase?: string | Buffer | undefined;
  /** Socket of an ssh-agent, or `true` for `SSH_AUTH_SOCK`. It is asked after `privateKey`. */
  agent?: string | true | undefined;
  /** Judges the nodes' host keys, unless the node has a `hostKey` of its own. Required unless every node has one. */
  hostKeys?: HostKeyVerifier | undefined;
  /** Tells when all this becomes something else. Default: only `updateCredentials` does. */
  updates?: CredentialsSource | undefined;
  /**
   * Puts the public half of `privateKey` on a node, as {@link InstallKey} says: when the node is added, when the key or the user becomes
   * another, and every `installKeyIntervalMs`. Default: whoever made the key has put it there.
   */
  installKey?: InstallKey | undefined;
  /** How often the key is installed on each node, in milliseconds; the nodes are spread evenly over that time. At least 1000. Default: 300 000. */
  installKeyIntervalMs?: number | undefined;
}

/** Something that knows when credentials change, such as the one that `credentialFiles(…)` makes. */
export interface CredentialsSource {
  /** What it is, for messages and status: `file /etc/tunnel/id_ed25519`. */
  readonly name: string;
  /**
   * Tells what the credentials have become. An `Error` in place of that says that those in use may be out of date; the source goes on
   * trying. Ends when the signal is aborted.
   */
  follow(signal: AbortSignal): AsyncIterable<CredentialsUpdate | Error>;
}

/** What {@link SshOptions} are to become; what is left out stays, and whatever is given of `privateKey`, `passphrase` and `agent` replaces all three. */
export type CredentialsUpdate = Partial<
  Pick<SshOptions, 'username' | 'privateKey' | 'passphrase' | 'agent' | 'hostKeys'>
>;

/** The connections of each node. */
export interface PoolOptions {
  /** Connections kept up to each node without need; 0 connects on demand. Default: 1. */
  minConnections?: number | undefined;
  /** Connections to each node. Default: 4. */
  maxConnections?: number | undefined;
  /** Streams on one connection before another is made; sshd grows slower with each. Default: 128. */
  maxChannelsPerConnection?: number | undefined;
  /** Dials that may wait for a stream to end when all connections are full, per node. Default: 1024. */
  maxQueue?: number | undefined;
  /** Time in milliseconds after which unused connections above `minConnections` are closed. Default: 60 000. */
  idleTimeoutMs?: number | undefined;
  /**
   * Age in milliseconds, give or take a tenth, at which a connection is replaced: another is made, then the old one takes no more dials and
   * is closed with its last stream. While `maxConnections` wait for their last streams, the others stay, however old. At least 1000.
   * Default: none.
   */
  maxConnectionAgeMs?: number | undefined;
}

/** When a node is given up. */
export interface HealthOptions {
  /** Silence in milliseconds after which a node is asked for a sign of life. Default: 10 000. */
  keepaliveIntervalMs?: number | undefined;
  /** Unanswered questions after which a connection is dead: that is `keepaliveIntervalMs × (keepaliveCountMax + 1)` after the last byte. Default: 2. */
  keepaliveCountMax?: number | undefined;
  /** How the nodes are probed through their tunnels, such as `{ kind: 'https', ca }` for their kubelets. Default: not at all. */
  probe?: ProbeOptions | undefined;
}

/** When a node is tried again. */
export interface ReconnectOptions {
  /** Shortest wait in milliseconds after a failed attempt. Default: 250. */
  minMs?: number | undefined;
  /** Longest wait in milliseconds after failed attempts. Default: 30 000. */
  maxMs?: number | undefined;
  /** Time in milliseconds after which a connection counts as lasting, and earlier failures are forgotten. Default: 10 000. */
  stableMs?: number | undefined;
  /**
   * Handshakes under way at once, over all nodes that are behind as many jump hosts. Those that took all their time the last time leave a
   * quarter of them to the others; one that says nothing for 2 s is given up when others wait. Default: 32.
   */
  maxHandshakes?: number | undefined;
  /** Handshakes under way at once with one node; keep it below its sshd's MaxStartups (10). Default: 4. */
  maxHandshakesPerNode?: number | undefined;
}

/** Deadlines. */
export interface TimeoutOptions {
  /** A dial as a whole, in milliseconds. Default: 30 000. */
  dialMs?: number | undefined;
  /** TCP connection, SSH handshake and login together, in milliseconds. Default: 10 000. */
  connectMs?: number | undefined;
  /**
   * How long a node may take to open a stream, in milliseconds, before another is tried beside it, where another will do. Above `dialMs`:
   * never. Default: 1000.
   */
  hedgeAfterMs?: number | undefined;
  /** How long `close()` waits for open streams, in milliseconds. Default: 30 000. */
  graceMs?: number | undefined;
}

export interface TunnelDialerOptions {
  /** The nodes, which `update` replaces; or a source that tells them as they come and go, such as `nodesFile(path)`. */
  nodes: Nodes;
  ssh: SshOptions;
  /** Who carries a dial to a host that no node owns: any ready node (the default), or none. */
  onMiss?: 'any-node' | 'reject' | undefined;
  pool?: PoolOptions | undefined;
  health?: HealthOptions | undefined;
  reconnect?: ReconnectOptions | undefined;
  timeouts?: TimeoutOptions | undefined;
}

const hostKeyVerifier: Check<HostKeyVerifier | undefined> = (value, path) => {
  if (value === undefined || isHostKeyVerifier(value)) return value;
  throw new InvalidOptionError(
    path,
    `must be knownHosts(…), pinnedHostKey(…), trustOnFirstUse(…) or another HostKeyVerifier, got ${describeKind(value)}`,
  );
};

const credentialsSource: Check<CredentialsSource | undefined> = (value, path) => {
  const source = value as Partial<CredentialsSource> | null | undefined;
  if (source === undefined) return undefined;
  if (typeof source?.name === 'string' && typeof source.follow === 'function')
    return value as CredentialsSource;
  throw new InvalidOptionError(
    path,
    `must be an object with name and follow(signal), as credentialFiles(…) has it, got ${describeKind(value)}`,
  );
};

const installKey: Check<InstallKey | undefined> = (value, path) =>
  optional(callable)(value, path) as InstallKey | undefined;

/** Passed on as it is: lib/ssh/login/credentials.ts judges it, without showing it. */
const secret: Check<unknown> = (value) => value;
/** The nodes are judged by `nodeSourceOf` and `normalizeNodes`. */
const unjudged: Check<unknown> = (value) => value;

const checkOptions = objectOf({
  nodes: unjudged,
  ssh: objectOf({
    username,
    privateKey: secret,
    passphrase: secret,
    agent: unjudged,
    hostKeys: hostKeyVerifier,
    updates: credentialsSource,
    installKey,
    installKeyIntervalMs: withDefault(milliseconds(1000), 300_000),
  } satisfies Record<keyof SshOptions, Check<unknown>>),
  onMiss: withDefault(oneOf('any-node', 'reject'), 'any-node'),
  pool: group({
    minConnections: withDefault(integer(0, 1000), 1),
    maxConnections: withDefault(integer(1, 1000), 4),
    maxChannelsPerConnection: withDefault(integer(1, 10_000), 128),
    maxQueue: withDefault(integer(0, 1_000_000), 1024),
    idleTimeoutMs: withDefault(milliseconds(1), 60_000),
    maxConnectionAgeMs: optional(milliseconds(1000)),
  } satisfies Record<keyof PoolOptions, Check<unknown>>),
  health: group({
    keepaliveIntervalMs: withDefault(milliseconds(1), 10_000),
    keepaliveCountMax: withDefault(integer(1, 1000), 2),
    probe: optional(checkProbe),
  } satisfies Record<keyof HealthOptions, Check<unknown>>),
  reconnect: group({
    minMs: withDefault(milliseconds(1), 250),
    maxMs: withDefault(milliseconds(1), 30_000),
    stableMs: withDefault(milliseconds(), 10_000),
    maxHandshakes: withDefault(integer(1, 10_000), 32),
    maxHandshakesPerNode: withDefault(integer(1, 1000), 4),
  } satisfies Record<keyof ReconnectOptions, Check<unknown>>),
  timeouts: group({
    dialMs: withDefault(milliseconds(1), 30_000),
    connectMs: withDefault(milliseconds(1), 10_000),
    hedgeAfterMs: withDefault(milliseconds(1), 1000),
    graceMs: withDefault(milliseconds(), 30_000),
  } satisfies Record<keyof TimeoutOptions, Check<unknown>>),
} satisfies Record<keyof TunnelDialerOptions, Check<unknown>>);

/** {@link TunnelDialerOptions} with every default filled in. */
export type CheckedOptions = ReturnType<typeof checkOptions>;

/** Checks an update as the constructor's `ssh`. The secrets in it are judged by `Credentials`. */
export const checkCredentialsUpdate = objectOf({
  username: optional(username),
  privateKey: secret,
  passphrase: secret,
  agent: unjudged,
  hostKeys: hostKeyVerifier,
} satisfies Record<keyof CredentialsUpdate, Check<unknown>>);

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` with the option's path */
export function checkTunnelDialerOptions(options: TunnelDialerOptions): CheckedOptions {
  const checked = checkOptions(options, '');
  const { pool, reconnect } = checked;
  if (pool.minConnections > pool.maxConnections) {
    throw new InvalidOptionError(
      'pool.minConnections',
      `must not exceed pool.maxConnections (${pool.maxConnections}), got ${pool.minConnections}`,
    );
  }
  if (reconnect.minMs > reconnect.maxMs) {
    throw new InvalidOptionError(
      'reconnect.minMs',
      `must not exceed reconnect.maxMs (${reconnect.maxMs}), got ${reconnect.minMs}`,
    );
  }
  return checked;
}

/** A group of options that may be left out as a whole. */
function group<Shape extends Record<string, Check<unknown>>>(shape: Shape): Check<Checked<Shape>> {
  const check = objectOf(shape);
  return (value, path) => check(value ?? {}, path);
}
