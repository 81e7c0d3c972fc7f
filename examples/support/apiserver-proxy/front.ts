import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http2, { type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { tlsFiles, type TlsFiles } from 'tunnel-dialer';
import { SERVER_OPTIONS, type ApiserverProxy } from 'tunnel-dialer/apiserver';
import type { HostAndPort } from '../command-line.js';
import type { Settings } from './arguments.js';

/** How often it is looked whether the certificate that we show has changed, in milliseconds. */
const CERTIFICATE_CHECK_MS = 10_000;

/** The server that clients talk to: TLS, HTTP/1.1 and HTTP/2. */
export class Front {
  readonly #server: Http2SecureServer;
  readonly #proxy: ApiserverProxy;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #sockets = new Set<Socket>();
  readonly #certificateCheck: NodeJS.Timeout;

  constructor({ serving, clientCa }: Settings, proxy: ApiserverProxy) {
    this.#proxy = proxy;
    const files = tlsFiles({ certFile: serving.certFile, keyFile: serving.keyFile });
    const clients =
      clientCa === undefined
        ? {}
        : { ca: readFileSync(clientCa), requestCert: true, rejectUnauthorized: false };
    this.#server = http2.createSecureServer({ allowHTTP1: true, ...contextOf(files), ...clients });
    Object.assign(this.#server, SERVER_OPTIONS);
    this.#server
      .on('request', proxy.request)
      .on('upgrade', proxy.upgrade)
      .on('session', (session) => {
        this.#sessions.add(session);
        session.once('close', () => this.#sessions.delete(session));
      })
      .on('secureConnection', (socket) => {
        this.#sockets.add(socket);
        socket.once('close', () => this.#sockets.delete(socket));
      });
    let shown = files.current();
    this.#certificateCheck = setInterval(() => {
      const now = files.current();
      if (now !== shown) this.#server.setSecureContext({ ...contextOf(files), ...clients });
      shown = now;
    }, CERTIFICATE_CHECK_MS);
  }

  async listen({ host, port }: HostAndPort): Promise<AddressInfo> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    return this.#server.address() as AddressInfo;
  }

  /** Takes no new requests, and ends those that are under way after as many milliseconds. */
  async drain(milliseconds: number): Promise<void> {
    clearInterval(this.#certificateCheck);
    this.#server.close();
    for (const session of this.#sessions) session.close();
    const given = new AbortController();
    await Promise.race([
      this.#proxy.close(),
      delay(milliseconds, undefined, { signal: given.signal }).catch(() => undefined),
    ]);
    given.abort();
    for (const socket of this.#sockets) socket.destroy();
    await this.#proxy.close();
  }
}

function contextOf(files: TlsFiles): { cert: string | Buffer; key: string | Buffer } {
  const { cert, key } = files.current();
  if (cert === undefined || key === undefined) throw new Error('the certificate or its key is empty');
  return { cert, key };
}
