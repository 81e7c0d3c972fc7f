import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Caller } from '../../../lib/apiserver/access.js';
import { UpstreamClient } from '../../../lib/apiserver/upstream/upstream-client.js';
import type { UpstreamClientOptions } from '../../../lib/apiserver/upstream/options.js';
import { createAuthority, type Authority } from '../../../lib/testing/certificates.js';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** An HTTPS server that stands where an API server should be, and does as a test says. */
export class OtherUpstream {
  readonly authority: Authority = createAuthority('cluster');
  readonly server: Server;
  /** How many connections there have been. */
  connections = 0;
  answer: Answer;
  readonly #sockets = new Set<Socket>();
  readonly #clients: UpstreamClient[] = [];

  private constructor(answer: Answer, altNames: readonly string[]) {
    this.answer = answer;
    const { certificate: cert, privateKey: key } = this.authority.issue({ commonName: 'api', altNames });
    const ca = this.authority.certificate;
    this.server = createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: false });
    this.server.on('request', (request, response) => this.answer(request, response));
    this.server.on('connection', (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(answer: Answer, altNames: readonly string[] = ['127.0.0.1']): Promise<OtherUpstream> {
    const upstream = new OtherUpstream(answer, altNames);
    upstream.server.listen(0, '127.0.0.1');
    await once(upstream.server, 'listening');
    return upstream;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** A client that believes it; what is given counts more. */
  client(options: Partial<UpstreamClientOptions> = {}): UpstreamClient {
    const defaults = { server: this.url, certificateAuthority: this.authority.certificate };
    const client = new UpstreamClient({ ...defaults, ...options });
    this.#clients.push(client);
    return client;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    const closed = once(this.server, 'close');
    this.server.close();
    this.cut();
    await closed;
  }
}

/** A caller who comes with a token. */
export const callerWith = (token: string): Caller => ({
  key: 'caller',
  userName: undefined,
  upstreamHeaders: () => Promise.resolve({ authorization: `Bearer ${token}` }),
});

export const nobody: Caller = {
  key: 'nobody',
  userName: undefined,
  upstreamHeaders: () => Promise.resolve({}),
};

/** Common name of the certificate that the client of a request has shown. */
export function shownBy({ socket }: IncomingMessage): string | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const { subject } = socket.getPeerCertificate() as { subject?: { CN?: string } };
  return subject?.CN;
}

export function answerJson(response: ServerResponse, value: unknown, code = 200): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}
