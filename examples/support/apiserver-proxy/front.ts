import { once } from 'node:events';
import http2, { type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import type { TlsFiles } from 'tunnel-dialer';
import { SERVER_OPTIONS, type ApiserverProxy } from 'tunnel-dialer/apiserver';
import type { HostAndPort } from '../command-line.js';

/** How often it is looked whether the files have changed, in milliseconds. */
const FILES_CHECK_MS = 1000;

/** What HTTP/2 has in place of `SERVER_OPTIONS`; kube-apiserver has as many streams. */
const HTTP2_OPTIONS = {
  settings: { maxConcurrentStreams: 1000, maxHeaderListSize: SERVER_OPTIONS.maxHeaderSize },
  maxHeaderListPairs: 1000,
};

interface FrontOptions {
  /** The certificate that is shown. */
  readonly serving: TlsFiles;
  /** Those whose client certificates are asked for. */
  readonly clientCa: TlsFiles | undefined;
}

/** The server that clients talk to: TLS, HTTP/1.1 and HTTP/2. */
export class Front {
  readonly #server: Http2SecureServer;
  readonly #proxy: ApiserverProxy;
  readonly #renewContext: () => void;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #sockets = new Set<TLSSocket>();
  #filesCheck: NodeJS.Timeout | undefined;

  constructor({ serving, clientCa }: FrontOptions, proxy: ApiserverProxy) {
    this.#proxy = proxy;
    let [shown, asked] = [serving.current(), clientCa?.current()];
    this.#renewContext = () => {
      const [nowShown, nowAsked] = [serving.current(), clientCa?.current()];
      if (nowShown === shown && nowAsked === asked) return;
      this.#server.setSecureContext(contextOf(serving, clientCa));
      [shown, asked] = [nowShown, nowAsked];
    };
    const clients = clientCa === undefined ? {} : { requestCert: true, rejectUnauthorized: false };
    const { keepAlive, keepAliveInitialDelay, ...http1 } = SERVER_OPTIONS;
    const tcp = { keepAlive, keepAliveInitialDelay };
    const options = {
      allowHTTP1: true,
      ...HTTP2_OPTIONS,
      ...tcp,
      ...contextOf(serving, clientCa),
      ...clients,
    };
    this.#server = http2.createSecureServer(options);
    // Node takes them from there for HTTP/1.1, and not from the options.
    Object.assign(this.#server, http1);
    this.#server
      .on('request', proxy.request)
      .on('upgrade', proxy.upgrade)
      .on('session', (session) => {
        this.#sessions.add(session);
        session.once('close', () => this.#sessions.delete(session));
      })
      .on('secureConnection', (socket: TLSSocket) => {
        this.#sockets.add(socket);
        socket.once('close', () => this.#sockets.delete(socket));
      });
  }

  async listen({ host, port }: HostAndPort): Promise<AddressInfo> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    this.#filesCheck = setInterval(this.#renewContext, FILES_CHECK_MS);
    return this.#server.address() as AddressInfo;
  }

  /** Takes no new requests, and cuts those that are still under way after as many milliseconds. */
  async drain(milliseconds: number): Promise<void> {
    clearInterval(this.#filesCheck);
    this.#server.close();
    for (const session of this.#sessions) session.close();
    const enough = new AbortController();
    await Promise.race([
      this.#ended(),
      delay(milliseconds, undefined, { signal: enough.signal }).catch(() => undefined),
    ]);
    enough.abort();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Resolves when every client has its answer. Those of HTTP/2 may have much to take yet when all has been said; their sessions then end. */
  async #ended(): Promise<void> {
    await this.#proxy.close();
    for (const socket of this.#sockets) if (socket.alpnProtocol !== 'h2') socket.destroySoon();
    await Promise.all(
      Array.from(this.#sockets, (socket) => new Promise((resolve) => socket.once('close', resolve))),
    );
  }
}

type Pem = string | Buffer;

function contextOf(
  serving: TlsFiles,
  clientCa: TlsFiles | undefined,
): { cert: Pem; key: Pem; ca?: Pem | Pem[] } {
  const { cert, key } = serving.current();
  const ca = clientCa?.current().ca;
  if (cert === undefined || key === undefined) throw new Error('the certificate or its key is empty');
  return { cert, key, ...(ca !== undefined && { ca }) };
}
