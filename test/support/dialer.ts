import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { NodePool, type NodePoolOptions } from '../../lib/pool/node-pool.js';
import type { DialAttempt } from '../../lib/pool/dial.js';
import { Semaphore } from '../../lib/pool/semaphore.js';
import { Connection, type ConnectionOptions } from '../../lib/ssh/connection.js';
import { Credentials } from '../../lib/ssh/login/credentials.js';
import type { SshTarget } from '../../lib/ssh/handshake.js';
import { ClosedError } from '../../lib/errors.js';
import type { TunnelDialerOptions } from '../../lib/options.js';
import type { TunnelSocket } from '../../lib/dialer.js';
import { startSshNode, type SshNode } from '../../lib/testing/index.js';
import type { SshNodeOptions } from '../../lib/testing/options.js';
import { TunnelDialer } from '../../lib/tunnel-dialer.js';

/** A TCP endpoint on loopback, with what it has seen. */
export interface Endpoint {
  readonly port: number;
  readonly sockets: ReadonlySet<Socket>;
  /** The next connection. */
  next(): Promise<Socket>;
  close(): Promise<void>;
}

export const echo = (socket: Socket): void => void socket.pipe(socket);
export const silent = (socket: Socket): void => void socket.resume();

/** What a test has started, to be ended in the reverse order. */
export class Lab {
  readonly #ends: (() => unknown)[] = [];
  /** What can log in to every node of this lab. */
  #first: SshNode | undefined;

  onEnd(end: () => unknown): void {
    this.#ends.push(end);
  }

  /** A node that every dialer of this lab can log in to. */
  async node(options: SshNodeOptions = {}): Promise<SshNode> {
    const authorizedKeys = this.#first === undefined ? [] : [this.#first.clientKey.publicKey];
    const node = await startSshNode({ authorizedKeys, ...options });
    this.#first ??= node;
    this.onEnd(() => node.close());
    return node;
  }

  /** A dialer to these nodes, without waits that a test would have to sit out. */
  dialer(nodes: readonly SshNode[], options: Partial<TunnelDialerOptions> = {}): TunnelDialer {
    const ssh = this.#first?.ssh;
    if (ssh === undefined) throw new Error('start a node first');
    const dialer = new TunnelDialer({ nodes: nodes.map(({ spec }) => spec), ssh, ...options });
    this.onEnd(() => dialer.destroy());
    const dial = dialer.dial.bind(dialer);
    dialer.dial = (...args) => this.#keep(dial(...args));
    return dialer;
  }

  /** Streams that are still open when the lab ends may fail then. */
  #keep<Socket extends TunnelSocket>(dialled: Promise<Socket>): Promise<Socket> {
    dialled.then(
      (socket) => this.onEnd(() => socket.on('error', () => undefined)),
      () => undefined,
    );
    return dialled;
  }

  /** How a connection reaches this node. */
  target(node: SshNode, options: Partial<SshTarget> = {}): SshTarget {
    const { ssh, spec } = node;
    return {
      node: spec.name,
      host: { names: [spec.address], port: spec.port },
      username: ssh.username,
      credentials: new Credentials({ privateKey: (this.#first ?? node).ssh.privateKey }),
      hostKeys: ssh.hostKeys,
      connectMs: 10_000,
      ...options,
    };
  }

  /** A connection to this node that has not been made yet. */
  connection(node: SshNode, options: Partial<ConnectionOptions & SshTarget> = {}): Connection {
    const connection = new Connection({
      node: node.spec.name,
      target: () => this.target(node, options),
      keepaliveIntervalMs: 10_000,
      keepaliveCountMax: 2,
      maxLingering: 128,
      onClosed: () => undefined,
      ...options,
    });
    this.onEnd(() => connection.destroy(new ClosedError('the test is over')));
    const open = connection.open.bind(connection);
    connection.open = (...args) => this.#keep(open(...args));
    return connection;
  }

  /** The pool of this node, without waits that a test would have to sit out. */
  pool(node: SshNode, options: Partial<NodePoolOptions> = {}): NodePool {
    const pool = new NodePool({
      target: this.target(node),
      keepaliveIntervalMs: 10_000,
      keepaliveCountMax: 2,
      minConnections: 0,
      maxConnections: 4,
      maxChannelsPerConnection: 128,
      maxQueue: 1024,
      idleTimeoutMs: 60_000,
      reconnect: { minMs: 250, maxMs: 30_000, stableMs: 10_000 },
      handshakes: [new Semaphore(4), new Semaphore(32)],
      onChange: () => undefined,
      ...options,
    });
    const over = new ClosedError('the test is over');
    this.onEnd(() => void pool.destroy(over));
    const attempts = new Set<DialAttempt>();
    this.onEnd(() => {
      for (const attempt of attempts) attempt.dial.abort(over);
    });
    const dial = pool.dial.bind(pool);
    pool.dial = (attempt) => {
      attempts.add(attempt);
      return this.#keep(dial(attempt).finally(() => attempts.delete(attempt)));
    };
    return pool;
  }

  async endpoint(serve: (socket: Socket) => void = echo): Promise<Endpoint> {
    const sockets = new Set<Socket>();
    const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => sockets.delete(socket));
      serve(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const close = async (): Promise<void> => {
      for (const socket of sockets) socket.destroy();
      if (server.listening) await new Promise((resolve) => server.close(resolve));
    };
    this.onEnd(close);
    return {
      port: (server.address() as AddressInfo).port,
      sockets,
      next: async () => ((await once(server, 'connection')) as [Socket])[0],
      close,
    };
  }

  async end(): Promise<void> {
    for (const end of this.#ends.splice(0).reverse()) await end();
    this.#first = undefined;
  }
}

/** What a promise is rejected with. */
export async function rejection<T = Error>(promise: Promise<unknown>): Promise<T> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ('error' in outcome) return outcome.error as T;
  throw new Error(`was fulfilled with ${String(outcome.value)}`);
}

/** Everything that a stream gives until its end. */
export function readAll(stream: NodeJS.ReadableStream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
    stream.once('end', () => resolve(Buffer.concat(chunks)));
    stream.once('error', reject);
  });
}

/** At least this many bytes; the stream is paused then and stays open. */
export function read(stream: NodeJS.ReadableStream, bytes = 1): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let all = Buffer.alloc(0);
    const ended = () => reject(new Error(`ended after ${all.length} bytes`));
    const take = (chunk: Buffer) => {
      all = Buffer.concat([all, chunk]);
      if (all.length < bytes) return;
      stream.off('data', take).off('end', ended).off('error', reject).pause();
      resolve(all);
    };
    stream.on('data', take).once('end', ended).once('error', reject).resume();
  });
}

/** Sends a text and reads as much back: the stream and all below it work. */
export async function roundTrip(stream: NodeJS.ReadWriteStream, text = 'ping'): Promise<void> {
  stream.write(text);
  const got = (await read(stream, text.length)).toString();
  if (got !== text) throw new Error(`sent ${text}, got ${got}`);
}

/** One turn of the event loop, in which every promise that can settle does. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) await turn();
}

/** Polls once per turn of the event loop, for what has no event. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await turn();
  }
}

/** A promise and the way to fulfil it. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/** Exceptions that reach the process while `act` runs, in place of ending it or failing the test. */
export const uncaughtDuring = (act: () => Promise<unknown>): Promise<unknown[]> =>
  reachingTheProcess('uncaughtException', act);

/** Rejections that nobody handles while `act` runs. */
export const unhandledDuring = (act: () => Promise<unknown>): Promise<unknown[]> =>
  reachingTheProcess('unhandledRejection', act);

/** Warnings of Node while `act` runs, such as that of a listener too many. */
export const warningsDuring = (act: () => Promise<unknown>): Promise<unknown[]> =>
  reachingTheProcess('warning', act);

async function reachingTheProcess(
  event: 'uncaughtException' | 'unhandledRejection' | 'warning',
  act: () => Promise<unknown>,
): Promise<unknown[]> {
  const caught: unknown[] = [];
  const note = (error: unknown): void => void caught.push(error);
  // Mocha's own listeners would fail the test, and Node's print.
  const others = process.rawListeners(event) as (() => void)[];
  process.removeAllListeners(event);
  process.on(event, note);
  try {
    await act();
    await turns(2);
  } finally {
    process.off(event, note);
    for (const other of others) process.on(event, other);
  }
  return caught;
}
