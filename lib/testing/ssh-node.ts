import type { Socket } from 'node:net';
import { integer, oneOf, withDefault } from '../validation.js';
import { NodeConnection } from './connection.js';
import { Faults } from './faults.js';
import { Hostile } from './hostile.js';
import {
  describeHostKey,
  generateKeyPair,
  type HostKey,
  type HostKeyType,
  type KeyPair,
  wireFormat,
} from './keys.js';
import { closedError, Listener } from './listener.js';
import { pinTo, type SshNodeLogin, type SshNodeSpec } from './login.js';
import { checkOptions, type Settings, type SshNodeOptions } from './options.js';
import { Waiters } from './waiters.js';

interface Counts {
  connections: number;
  channels: number;
  handshakes: number;
  rekeys: number;
}

/**
 * Starts an SSH server in this process that forwards direct-tcpip channels, as the sshd of a node does, and that can be made to fail in
 * every way that a sshd fails. It runs no commands and offers no shell. For tests and demos only.
 *
 * @example
 * ```ts
 * import { TunnelDialer } from 'tunnel-dialer';
 * import { startSshNode } from 'tunnel-dialer/testing';
 *
 * const node = await startSshNode();
 * const dialer = new TunnelDialer({ nodes: [node.spec], ssh: node.ssh });
 * node.faults.refuse({ reason: 2, description: 'Connection refused' });
 * await dialer.dial('10.0.0.11', 10250).catch((error) => console.log(error.code)); // ECONNREFUSED
 * await dialer.close();
 * await node.close();
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`; and `node:net`'s own error when the address cannot be listened on,
 *   such as `EADDRINUSE`
 */
export async function startSshNode(options: SshNodeOptions = {}): Promise<SshNode> {
  const node = new SshNode(checkOptions(options));
  await node.start();
  return node;
}

/** An SSH node in this process, made by {@link startSshNode}. */
export class SshNode implements AsyncDisposable {
  /** What the node does wrong from now on. */
  readonly faults = new Faults();
  /** What a malicious node does, at once. */
  readonly hostile = new Hostile(() => this.#open().flatMap((connection) => connection.rawChannels()));

  readonly #settings: Settings;
  readonly #clientKey = generateKeyPair('ed25519');
  readonly #listener: Listener;
  readonly #connections = new Set<NodeConnection>();
  /** Connections accepted while the node hangs; they are greeted when it goes on. */
  readonly #held = new Set<NodeConnection>();
  readonly #waiters = new Waiters();
  #hostKeyType: HostKeyType;
  #hostKey: KeyPair;
  #paused = false;
  #closing: Promise<void> | undefined;
  readonly #counts: Counts = { connections: 0, channels: 0, handshakes: 0, rekeys: 0 };

  /** @internal */
  constructor(settings: Settings) {
    this.#settings = settings;
    this.#hostKeyType = settings.hostKeyType;
    this.#hostKey = generateKeyPair(settings.hostKeyType);
    this.#listener = new Listener({
      name: settings.name,
      host: bare(settings.host),
      port: settings.port,
      accept: (socket) => this.#accept(socket),
      log: (line) => this.#log(line),
    });
  }

  /** The name in `spec`, in errors and in log lines. */
  get name(): string {
    return this.#settings.name;
  }

  /** The node as an element of `TunnelDialer`'s `nodes`. It names the host key of this moment. */
  get spec(): SshNodeSpec {
    return {
      name: this.#settings.name,
      address: reachable(this.#settings.host),
      port: this.#listener.port,
      hostKey: this.hostKey.fingerprint,
      username: this.#settings.username,
    };
  }

  /** What logs in to this node, as `TunnelDialer`'s `ssh`. It knows the host key of this moment. */
  get ssh(): SshNodeLogin {
    return {
      username: this.#settings.username,
      privateKey: this.#clientKey.privateKey,
      hostKeys: pinTo(this.hostKey, this.#listener.port),
    };
  }

  /** The key pair in `ssh`. Its `publicKey` goes into the `authorizedKeys` of further nodes that one dialer is to reach. */
  get clientKey(): KeyPair {
    return this.#clientKey;
  }

  /** The host key of new connections. */
  get hostKey(): HostKey {
    return describeHostKey(this.#hostKey);
  }

  /** The host key as a line of `known_hosts`, such as `[127.0.0.1]:40123 ssh-ed25519 AAAA…`. */
  get knownHostsLine(): string {
    const { address, port } = this.spec;
    return `${port === 22 ? address : `[${address}]:${port}`} ${this.#hostKey.publicKey}`;
  }

  /** TCP connections open now, whether or not they have logged in. */
  get connections(): number {
    return this.#open().length;
  }

  /** Channels open now. */
  get channels(): number {
    return this.#open().reduce((sum, { channels }) => sum + channels, 0);
  }

  /** Channel opens that have no answer yet. */
  get pendingOpens(): number {
    return this.#open().reduce((sum, { pendingOpens }) => sum + pendingOpens, 0);
  }

  /** TCP connections accepted so far. */
  get totalConnections(): number {
    return this.#counts.connections;
  }

  /** Channels confirmed so far. */
  get totalChannels(): number {
    return this.#counts.channels;
  }

  /** First key exchanges done so far, one for each connection that got that far. */
  get handshakes(): number {
    return this.#counts.handshakes;
  }

  /** Further key exchanges done so far, whoever began them. */
  get rekeys(): number {
    return this.#counts.rekeys;
  }

  /**
   * Resolves as soon as a condition holds, such as `(node) => node.channels === 0`. It is judged now and whenever a count changes.
   * Rejects when the node is closed before that, or when the condition throws.
   */
  async until(condition: (node: SshNode) => boolean): Promise<void> {
    await this.#waiters.until(() => condition(this));
  }

  /**
   * Ends every connection without a word of SSH: `fin` as when sshd is killed, `rst` as when the machine has forgotten the connection.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  cut(how: 'fin' | 'rst'): void {
    oneOf('fin', 'rst')(how, 'cut');
    for (const connection of this.#open()) connection.cut(how);
  }

  /**
   * Sends SSH_MSG_DISCONNECT on every connection and ends it.
   *
   * @param reason - RFC 4253 §11.1. Default: 11, by application; 2 is a protocol error
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  disconnect(reason = 11, description = ''): void {
    integer(0, 2 ** 32 - 1)(reason, 'reason');
    for (const connection of this.#open()) connection.disconnect(reason, description);
  }

  /** Hangs: stops reading and writing on every connection, and says nothing to new ones, though the kernel accepts them. */
  pause(): void {
    this.#paused = true;
    for (const connection of this.#open()) connection.pause();
  }

  /** Goes on after `pause()`. Nothing is lost. */
  resume(): void {
    this.#paused = false;
    for (const connection of this.#open()) connection.resume();
    for (const connection of this.#held) connection.open(this.faults.handshake);
    this.#held.clear();
  }

  /**
   * Exchanges keys on every connection that is logged in (RFC 4253 §9), as sshd does by `RekeyLimit`. Resolves when all are done;
   * rejects when one is lost before that.
   */
  async rekey(): Promise<void> {
    await Promise.all(this.#open().map((connection) => connection.rekey()));
  }

  /**
   * Makes another host key, which new connections see; those that are open keep theirs, also when they rekey.
   *
   * @param type - default: the type of the key that it replaces
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  changeHostKey(type?: HostKeyType): HostKey {
    const known = withDefault(oneOf('ed25519', 'ecdsa', 'rsa'), this.#hostKeyType);
    this.#hostKeyType = known(type, 'type');
    this.#hostKey = generateKeyPair(this.#hostKeyType);
    return this.hostKey;
  }

  /** Listens again on the port it had. */
  start(): Promise<void> {
    return this.#listener.start();
  }

  /** Goes down: ends every connection and refuses new ones, until `start()`. Counts, keys and faults stay. */
  stop(): Promise<void> {
    this.#paused = false;
    this.#held.clear();
    return this.#listener.stop();
  }

  /** Goes down for good and leaves nothing behind. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#listener.close().then(() => {
      this.#waiters.giveUp(closedError(this.#settings.name));
    });
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #open(): readonly NodeConnection[] {
    return [...this.#connections].filter(({ isOpen }) => isOpen);
  }

  #accept(socket: Socket): void {
    this.#counts.connections += 1;
    const id = this.#counts.connections;
    const log = (line: string) => this.#log(`connection ${id}: ${line}`);
    const connection = new NodeConnection(
      socket,
      {
        ...this.#settings,
        authorizedKeys: [wireFormat(this.#clientKey.publicKey), ...this.#settings.authorizedKeys],
        faults: this.faults,
        hostKey: this.#hostKey.privateKey,
        track: (endpoint) => this.#listener.track(endpoint),
      },
      {
        handshake: () => this.#count('handshakes'),
        rekeyed: () => this.#count('rekeys'),
        opened: () => this.#count('channels'),
        changed: () => this.#waiters.changed(),
        log,
      },
    );
    this.#connections.add(connection);
    socket.once('close', () => {
      this.#connections.delete(connection);
      this.#held.delete(connection);
      log('closed');
      this.#waiters.changed();
    });
    log(`accepted from ${String(socket.remoteAddress)} port ${String(socket.remotePort)}`);
    if (this.#paused) {
      connection.pause();
      this.#held.add(connection);
    } else {
      connection.open(this.faults.handshake);
    }
    this.#waiters.changed();
  }

  #count(what: keyof Counts): void {
    this.#counts[what] += 1;
    this.#waiters.changed();
  }

  #log(line: string): void {
    try {
      this.#settings.onLog(`${this.#settings.name}: ${line}`);
    } catch {
      // Thrown on, it would end the connection that the line is about, from within ssh2.
    }
  }
}

/** The address by which this machine reaches what listens on `host`. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return bare(host) === '::' ? '::1' : bare(host);
}

/** Without the brackets that an IPv6 address may have. */
function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}
