import {
  knownHosts,
  TunnelDialer,
  type Dialer,
  type DialOptions,
  type NodeSpec,
  type NodeStatus,
  type SshOptions,
  type TunnelDialerOptions,
  type TunnelSocket,
} from '../../lib/index.js';
import { readAll, roundTrip } from '../support/dialer.js';
import { startFaultProxy, type FaultProxy } from '../support/fault-proxy.js';
import { waitUntil } from '../support/processes.js';
import { knownHostsText } from '../support/ssh-keys.js';
import type { Sshd, SshAccess, SshdOptions } from '../support/sshd.js';
import { acquireTarget } from '../support/target.js';

/** Name of the only node of most tests. */
export const NODE = 'node-1';

type Options = Omit<Partial<TunnelDialerOptions>, 'ssh'> & { ssh?: Partial<SshOptions> };

/** The node that an sshd is. */
export function nodeOf({ address, port }: SshAccess, spec: Partial<NodeSpec> = {}): NodeSpec {
  return { name: NODE, address, port, ...spec };
}

/** How to log in to an sshd. */
export function loginOf({ username, privateKey, knownHosts: text }: SshAccess): SshOptions {
  return { username, privateKey, hostKeys: knownHosts(text) };
}

/** The same sshd, reached by another way. */
export function reachedBy(access: SshAccess, { host, port }: FaultProxy): SshAccess {
  const { username, privateKey, hostKeys } = access;
  const text = knownHostsText(host, port, hostKeys);
  return { username, privateKey, hostKeys, address: host, port, knownHosts: text };
}

/** A dialer to one sshd, which the caller ends. */
export function dialerTo(access: SshAccess, { ssh, ...options }: Options = {}): TunnelDialer {
  return new TunnelDialer({ nodes: [nodeOf(access)], ssh: { ...loginOf(access), ...ssh }, ...options });
}

/** How the only node of a dialer fares. */
export function nodeStatus(dialer: TunnelDialer): NodeStatus {
  const [status] = dialer.status().nodes;
  if (status === undefined) throw new Error('the dialer has no node');
  return status;
}

/** Waits until an sshd serves so many connections. */
export function waitForConnections(sshd: Sshd, count: number): Promise<void> {
  return waitUntil(
    `${count} connections of sshd`,
    async () => (await sshd.connectionCount()) === count,
    15_000,
  );
}

/** Everything that a stream gives until its end. The stream stays open for writing, which `node:stream/consumers` would not let it. */
export async function readText(stream: NodeJS.ReadableStream): Promise<string> {
  return (await readAll(stream)).toString();
}

/** Where a dial leads to. */
export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

interface Closable {
  close(): Promise<void>;
}

/** What a test has started, to be ended in the reverse order. */
export class Stage {
  readonly #ends: (() => unknown)[] = [];

  onEnd(end: () => unknown): void {
    this.#ends.push(end);
  }

  /** Closes it at the end. */
  async use<T extends Closable>(starting: Promise<T>): Promise<T> {
    const started = await starting;
    this.onEnd(() => started.close());
    return started;
  }

  /** The target of this run; see `acquireTarget`. */
  sshd(options?: SshdOptions): Promise<Sshd> {
    return this.use(acquireTarget(options));
  }

  /** A proxy before an sshd, and the sshd as it is reached by it. */
  async proxied(access: SshAccess): Promise<{ proxy: FaultProxy; access: SshAccess }> {
    const proxy = await this.use(startFaultProxy({ host: access.address, port: access.port }));
    return { proxy, access: reachedBy(access, proxy) };
  }

  /** A dialer to one sshd that is destroyed at the end. */
  dialer(access: SshAccess, options?: Options): TunnelDialer {
    const dialer = dialerTo(access, options);
    this.onEnd(() => dialer.destroy());
    return dialer;
  }

  /** A stream to an endpoint that is destroyed at the end. */
  async dial(dialer: Dialer, { host, port }: HostAndPort, options?: DialOptions): Promise<TunnelSocket> {
    const socket = await dialer.dial(host, port, options);
    socket.on('error', () => undefined); // a test may well destroy its dialer before its streams
    this.onEnd(() => socket.destroy());
    return socket;
  }

  /** The same, when it has carried a byte to an echo and back. */
  async dialEcho(dialer: Dialer, endpoint: HostAndPort, options?: DialOptions): Promise<TunnelSocket> {
    const socket = await this.dial(dialer, endpoint, options);
    await roundTrip(socket);
    return socket;
  }

  async end(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
  }
}
