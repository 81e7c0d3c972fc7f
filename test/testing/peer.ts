import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer, type Server, type Socket } from 'node:net';
import ssh2, { type Client, type ClientChannel, type ConnectConfig } from 'ssh2';
import type { SshNode } from '../../lib/testing/index.js';

/** A raw ssh2 client, the plainest peer that a node can have. */
export interface Peer {
  readonly client: Client;
  /** Every error so far. */
  readonly errors: Error[];
  /** Resolves when the TCP connection is closed. */
  readonly closed: Promise<void>;
  readonly open: (host: string, port: number) => Promise<ClientChannel>;
}

export type OpenError = Error & { reason?: number };

/** Begins to connect; the caller waits for what it expects. */
export function begin(node: SshNode, config: ConnectConfig = {}): Peer {
  const client = new ssh2.Client();
  const errors: Error[] = [];
  client.on('error', (error) => errors.push(error));
  const closed = new Promise<void>((resolve) => client.once('close', () => resolve()));
  const { address, port } = node.spec;
  const { username, privateKey } = node.ssh;
  client.connect({ host: address, port, username, privateKey, readyTimeout: 0, ...config });
  client.setNoDelay(true);
  const open = (host: string, to: number) =>
    new Promise<ClientChannel>((resolve, reject) => {
      client.forwardOut('127.0.0.1', 0, host, to, (error, channel) =>
        error ? reject(error) : resolve(channel),
      );
    });
  return { client, errors, closed, open };
}

/** Connects and logs in. */
export async function connect(node: SshNode, config: ConnectConfig = {}): Promise<Peer> {
  const peer = begin(node, config);
  await Promise.race([
    once(peer.client, 'ready'),
    peer.closed.then(() => {
      throw peer.errors[0] ?? new Error('closed before ready');
    }),
  ]);
  return peer;
}

/** What a refused open says: the reason's number and the text. */
export async function refusal(open: Promise<ClientChannel>): Promise<{ reason: unknown; text: string }> {
  try {
    await open;
  } catch (error) {
    const { reason, message } = error as OpenError;
    return { reason, text: message.replace('(SSH) Channel open failure: ', '') };
  }
  throw new Error('the channel was opened');
}

/** An endpoint on loopback, with its sockets. */
export interface TestEndpoint {
  readonly port: number;
  readonly server: Server;
  readonly sockets: Set<Socket>;
  /** The next socket to be accepted. */
  readonly next: () => Promise<Socket>;
  readonly close: () => Promise<void>;
}

export async function startEndpoint(serve: (socket: Socket) => void): Promise<TestEndpoint> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    serve(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    server,
    sockets,
    next: async () => ((await once(server, 'connection')) as [Socket])[0],
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Sends everything back, and ends when its peer has. */
export const echo = (socket: Socket): void => void socket.pipe(socket);

/** Everything that a stream still gives, until its end. The writable side stays as it is, unlike with `for await`. */
export function readAll(stream: NodeJS.ReadableStream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => chunks.push(chunk)).resume();
    stream.once('end', () => resolve(Buffer.concat(chunks)));
    stream.once('error', reject);
  });
}

/** Reads this many bytes or some more, and leaves the stream open. */
export function read(stream: NodeJS.ReadableStream, bytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let all = Buffer.alloc(0);
    const ended = () => reject(new Error(`ended after ${all.length} bytes`));
    const take = (chunk: Buffer) => {
      all = Buffer.concat([all, chunk]);
      if (all.length < bytes) return;
      stream.off('data', take).off('end', ended).pause();
      resolve(all);
    };
    stream.on('data', take).resume();
    stream.once('end', ended);
  });
}

/** A TCP connection to the node without any SSH, and what arrives on it. */
export function tcp(node: SshNode, options: { readonly allowHalfOpen?: boolean } = {}): Socket {
  const { address, port } = node.spec;
  return connectTcp({ host: address, port, ...options });
}
