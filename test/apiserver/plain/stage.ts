import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import { connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { Backend } from '../../../lib/apiserver/backend.js';
import type { Exchange } from '../../../lib/apiserver/exchange.js';
import { relayPlain, type PlainRelay } from '../../../lib/apiserver/plain/relay-plain.js';
import {
  joinPath,
  parseTarget,
  redirectsToSlash,
  slashLocation,
  splitTarget,
} from '../../../lib/apiserver/plain/request-target.js';
import { sendStatus } from '../../../lib/apiserver/send-status.js';
import { StatusError } from '../../../lib/apiserver/status-error.js';
import type { Dialer } from '../../../lib/dialer.js';
import { httpAgent, httpsAgent } from '../../../lib/http/index.js';
import { createAuthority } from '../../../lib/testing/certificates.js';
import type { SshNode } from '../../../lib/testing/index.js';
import { Lab } from '../../support/dialer.js';

const own = createAuthority('test-ca').issue({ commonName: 'test', altNames: ['127.0.0.1'] });
const certificate = { cert: own.certificate, key: own.privateKey };

/** Where the backends of a stage are, as a client of the proxy sees it: `/api/v1/namespaces/ns/pods/<name>/proxy`. */
export const prefixOf = (name: string): string => `/api/v1/namespaces/ns/pods/${name}/proxy`;

/** The servers through which clients reach the proxy. */
export type Front = 'http' | 'https' | 'http2';

interface ServerLike {
  close(callback: () => void): unknown;
  listen(port: number, host: string): unknown;
}

/** A proxy of the smallest kind, with backends behind an SSH node. */
export class ProxyStage extends Lab {
  /** By the names under which clients know them. */
  readonly backends = new Map<string, Backend>();
  /** What `relayPlain` ended with, for each request. */
  readonly outcomes: Promise<unknown>[] = [];
  readonly nodes: SshNode[] = [];
  /** Beside what is in the request. */
  relayOptions: Partial<PlainRelay> = {};
  readonly #fronts = new Map<Front, number>();
  #dialer: Dialer | undefined;

  static async start(): Promise<ProxyStage> {
    const stage = new ProxyStage();
    stage.nodes.push(await stage.node());
    stage.#dialer = stage.dialer(stage.nodes, { reconnect: { minMs: 1 } });
    return stage;
  }

  /** An HTTP server that clients know by a name. */
  async http(name: string, listener: http.RequestListener): Promise<http.Server> {
    const server = http.createServer({ maxHeaderSize: 2 ** 20 }, listener);
    server.keepAliveTimeout = 0;
    server.maxHeadersCount = 0;
    this.backends.set(name, this.backend('http', await this.#listen(server)));
    return server;
  }

  async https(name: string, listener: http.RequestListener): Promise<https.Server> {
    const server = https.createServer(certificate, listener);
    server.keepAliveTimeout = 0;
    this.backends.set(name, this.backend('https', await this.#listen(server)));
    return server;
  }

  /** One that speaks whatever a test lets it speak. */
  async raw(name: string, serve: (socket: Socket) => void): Promise<void> {
    const { port } = await this.endpoint(serve);
    this.backends.set(name, this.backend('http', port));
  }

  backend(scheme: 'http' | 'https', port: number): Backend {
    const dialer = this.#dialer;
    if (dialer === undefined) throw new Error('the stage was not started');
    const agent = scheme === 'http' ? httpAgent(dialer) : httpsAgent(dialer, { rejectUnauthorized: false });
    this.onEnd(() => agent.destroy());
    return {
      scheme,
      host: '127.0.0.1',
      port,
      authority: `127.0.0.1:${port}`,
      agent,
      connect: () => Promise.reject(new Error('nothing is upgraded here')),
    };
  }

  /** The port of the proxy. */
  async front(kind: Front = 'http'): Promise<number> {
    const known = this.#fronts.get(kind);
    if (known !== undefined) return known;
    const server = this.#server(kind);
    server.on('clientError', (_error: Error, socket: Socket) => {
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n');
    });
    const port = await this.#listen(server);
    this.#fronts.set(kind, port);
    return port;
  }

  #server(kind: Front): http.Server | https.Server | http2.Http2SecureServer {
    const listener = (exchange: Exchange): void => void this.outcomes.push(this.#serve(exchange));
    const options = { ...certificate, maxHeaderSize: 2 ** 20, requestTimeout: 0, keepAliveTimeout: 0 };
    if (kind === 'http2')
      return http2.createSecureServer(options, (request, response) => listener({ request, response }));
    const plain: http.RequestListener = (request, response) => listener({ request, response });
    const server = kind === 'https' ? https.createServer(options, plain) : http.createServer(options, plain);
    server.maxHeadersCount = 0;
    return server;
  }

  async #serve(exchange: Exchange): Promise<unknown> {
    const { request, response } = exchange;
    try {
      const target = parseTarget(request.url ?? '');
      const [, , kind, ...others] = target.path.slice(1).split('/');
      const isNode = kind === 'nodes';
      const { prefix, rest } = splitTarget(target, isNode ? 5 : 7);
      const [name = '', subresource] = others.slice(isNode ? 0 : 2);
      const backend = this.backends.get(name);
      if (backend === undefined || subresource !== 'proxy')
        throw new StatusError(404, 'NotFound', 'nothing that is proxied');
      if (redirectsToSlash(request.method, rest)) {
        response.statusCode = 301;
        response.setHeader('Location', slashLocation(target));
        response.end();
        return undefined;
      }
      const path = joinPath(rest) + target.query;
      await relayPlain({ exchange, backend, path, prefix, rewrites: true, ...this.relayOptions });
      return undefined;
    } catch (error) {
      sendStatus(exchange, error instanceof StatusError ? error : new StatusError(500, '', String(error)));
      return error;
    }
  }

  async #listen(server: ServerLike & NodeJS.EventEmitter): Promise<number> {
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.onEnd(async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    });
    return ((server as unknown as Server).address() as AddressInfo).port;
  }

  /** Sends a request to the proxy and reads all of the answer. */
  async fetch(path: string, options: FetchOptions = {}): Promise<Answer> {
    const response = await this.begin(path, options);
    const body = await buffer(response);
    const { statusCode: status = 0, headers, rawHeaders, rawTrailers } = response;
    return { status, headers, rawHeaders, rawTrailers, body: body.toString(), bytes: body };
  }

  /** Sends a request to the proxy and resolves when the answer has begun. */
  async begin(path: string, options: FetchOptions = {}): Promise<http.IncomingMessage> {
    const { body, ...rest } = options;
    const request = await this.request(path, rest);
    const answered = once(request, 'response') as Promise<[http.IncomingMessage]>;
    request.end(body);
    return (await answered)[0];
  }

  /** A request to the proxy that has not been ended. */
  async request(
    path: string,
    { front = 'http', ...options }: Omit<FetchOptions, 'body'> = {},
  ): Promise<http.ClientRequest> {
    const port = await this.front(front);
    const { request } = front === 'https' ? https : http;
    const given = { host: '127.0.0.1', port, path, agent: false as const, rejectUnauthorized: false };
    return request({ maxHeaderSize: 2 ** 20, ...given, ...options } as https.RequestOptions);
  }

  /** Writes bytes to the proxy and reads what comes until the connection is closed. */
  async exchange(bytes: string): Promise<string> {
    const socket = await this.connect();
    socket.write(Buffer.from(bytes, 'latin1'));
    return (await buffer(socket)).toString('latin1');
  }

  /** A connection to the proxy. */
  async connect(): Promise<Socket> {
    const socket = connect(await this.front(), '127.0.0.1');
    this.onEnd(() => socket.destroy());
    await once(socket, 'connect');
    return socket;
  }

  /** A connection of HTTP/2 to the proxy. */
  async session(): Promise<http2.ClientHttp2Session> {
    const options = { rejectUnauthorized: false };
    const session = http2.connect(`https://127.0.0.1:${await this.front('http2')}`, options);
    this.onEnd(() => session.destroy());
    return session;
  }
}

export interface FetchOptions {
  readonly front?: Exclude<Front, 'http2'>;
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders | readonly string[];
  readonly body?: string | Buffer;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly rawTrailers: readonly string[];
  readonly body: string;
  readonly bytes: Buffer;
}

/** What a backend that answers with it has seen of a request. */
export interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly rawHeaders: readonly string[];
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
  readonly rawTrailers: readonly string[];
}

/** Answers with what was asked. */
export const mirror: http.RequestListener = (request, response) => {
  void buffer(request).then((body) => {
    const { method, url, headers, rawHeaders, rawTrailers } = request;
    const seen = { method, url, headers, rawHeaders, rawTrailers, body: body.toString('latin1') };
    response.setHeader('Content-Type', 'application/json').end(JSON.stringify(seen satisfies Seen));
  });
};

export const seenBy = ({ body }: Answer): Seen => JSON.parse(body) as Seen;
