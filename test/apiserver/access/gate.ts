import { once } from 'node:events';
import { createServer } from 'node:https';
import { createSecureServer, type Http2SecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { Server } from 'node:https';
import type { ProxyRequest } from '../../../lib/apiserver/exchange.js';
import { createAuthority, type KeyAndCertificate } from '../../../lib/testing/index.js';

type Judge = (request: ProxyRequest) => Promise<unknown>;

/** A server that has each request judged, and answers with what comes of it, in JSON; HTTP/1.1 or HTTP/2. */
export class Gate {
  readonly authority = createAuthority('gate');
  readonly #server: Server | Http2SecureServer;
  readonly #sockets = new Set<Socket>();

  private constructor(judge: Judge, ca: string | undefined, version: 1 | 2) {
    const serving = this.authority.issue({ commonName: 'server', altNames: ['127.0.0.1'] });
    const { certificate: cert, privateKey: key } = serving;
    const tls = { cert, key, ...(ca !== undefined && { ca }), requestCert: true, rejectUnauthorized: false };
    const answer = (request: ProxyRequest, respond: (text: string) => void): void => {
      judge(request).then(
        (value) => respond(JSON.stringify(value ?? null)),
        (error: unknown) => respond(JSON.stringify({ refusal: error })),
      );
    };
    this.#server =
      version === 1
        ? createServer(tls, (request, response) => answer(request, (text) => response.end(text)))
        : createSecureServer(tls, (request, response) => answer(request, (text) => response.end(text)));
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  static async start(judge: Judge, ca: string | undefined, version: 1 | 2 = 1): Promise<Gate> {
    const gate = new Gate(judge, ca, version);
    gate.#server.listen(0, '127.0.0.1');
    await once(gate.#server, 'listening');
    return gate;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

export const shown = ({ certificate, privateKey }: KeyAndCertificate) => ({
  cert: certificate,
  key: privateKey,
});
