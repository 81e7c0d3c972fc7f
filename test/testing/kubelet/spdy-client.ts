import { once } from 'node:events';
import https from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { SpdySession } from '../../../lib/spdy/session.js';
import type { SpdyStream } from '../../../lib/spdy/stream.js';
import type { Kubelet } from '../../../lib/testing/index.js';

/** What comes on a stream, as it comes. */
export class Heard {
  #chunks: Buffer[] = [];
  readonly ended: Promise<void>;

  constructor(stream: SpdyStream) {
    stream.on('data', (bytes: Buffer) => this.#chunks.push(bytes));
    this.ended = new Promise((resolve) => stream.once('end', resolve).once('close', resolve));
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get text(): string {
    return this.bytes.toString();
  }
}

/** A client of a kubelet as kubectl is one, over SPDY/3.1. */
export class SpdyClient implements AsyncDisposable {
  readonly session: SpdySession;
  readonly protocol: string;

  private constructor(session: SpdySession, protocol: string) {
    this.session = session;
    this.protocol = protocol;
  }

  static async connect(
    kubelet: Kubelet,
    path: string,
    protocols: readonly string[] = ['v5.channel.k8s.io', 'v4.channel.k8s.io'],
  ): Promise<SpdyClient> {
    const { host, port, certificateAuthority: ca, token } = kubelet;
    const request = https.request({ host, port, path, method: 'POST', ca, agent: false });
    request.setHeader('authorization', `Bearer ${token}`);
    request.setHeader('connection', 'Upgrade').setHeader('upgrade', 'SPDY/3.1');
    request.setHeader('x-stream-protocol-version', protocols).end();
    const [response, socket, head] = (await once(request, 'upgrade')) as [IncomingMessage, Duplex, Buffer];
    if (head.length > 0) socket.unshift(head);
    const session = new SpdySession(socket, { side: 'client' });
    return new SpdyClient(session, String(response.headers['x-stream-protocol-version']));
  }

  open(streamtype: string, headers: Readonly<Record<string, string>> = {}): Promise<SpdyStream> {
    return this.session.open(new Map(Object.entries({ streamtype, ...headers })));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.session.destroy();
    await this.session.closed;
  }
}
