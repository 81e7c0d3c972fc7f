import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { SpdySession, type SpdySessionOptions } from '../../lib/spdy/session.js';
import type { SpdyStream } from '../../lib/spdy/stream.js';

/** Two ends of one connection. */
export async function connectedSockets(): Promise<readonly [Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const near = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [far] = (await once(server, 'connection')) as [Socket];
  server.close();
  if (near.connecting) await once(near, 'connect');
  return [near, far];
}

/** All that is said on a stream; unlike `node:stream/consumers` it leaves the other direction open. */
export async function said(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  stream.on('data', (bytes: Buffer) => chunks.push(bytes));
  if (!stream.readableEnded)
    await new Promise((resolve) => stream.once('end', resolve).once('close', resolve));
  return Buffer.concat(chunks).toString();
}

/** A session between a client and a server, which takes what is opened into `taken`. */
export class Pair implements AsyncDisposable {
  readonly near: Socket;
  readonly far: Socket;
  readonly client: SpdySession;
  readonly server: SpdySession;
  readonly taken: SpdyStream[] = [];

  private constructor(near: Socket, far: Socket, options: Partial<SpdySessionOptions>) {
    this.near = near;
    this.far = far;
    this.client = new SpdySession(near, { side: 'client' });
    const accept = () => (stream: SpdyStream) => void this.taken.push(stream);
    this.server = new SpdySession(far, { accept, ...options, side: 'server' });
  }

  static async connect(options: Partial<SpdySessionOptions> = {}): Promise<Pair> {
    const [near, far] = await connectedSockets();
    return new Pair(near, far, options);
  }

  /** Both ends of a stream. */
  async open(headers: Record<string, string> = {}): Promise<{ near: SpdyStream; far: SpdyStream }> {
    const near = await this.client.open(new Map(Object.entries(headers)));
    const far = this.taken.find(({ id }) => id === near.id)!;
    return { near, far };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy();
    this.server.destroy();
    await Promise.all([this.client.closed, this.server.closed]);
  }
}
