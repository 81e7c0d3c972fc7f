import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { Socket, type AddressInfo } from 'node:net';
import { refuse, Refusal, responseOn } from './answers.js';
import { userOf, type Accepted } from './identity.js';
import { checkMethod, parsePath, type Target } from './paths.js';
import type { Streamed, Upgrade } from './streaming.js';

/** A request that the kubelet got. */
export interface KubeletRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** Without `authorization`. */
  readonly headers: IncomingHttpHeaders;
  /** Who asked: CN of the client certificate, `token`, or `system:anonymous`. `undefined`: nobody who is known here, answered 401. */
  readonly user: string | undefined;
}

/** Serves what was admitted; what it throws is answered, when it is a {@link Refusal}. */
export interface Services {
  answer(target: Target, query: URLSearchParams, response: ServerResponse): Promise<void>;
  upgrade(target: Streamed, upgrade: Upgrade): void;
}

/** Certificate, key and the authority of clients, in PEM. */
export interface Context {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

interface Admitted {
  readonly target: Target;
  readonly query: URLSearchParams;
}

/** Requests that are remembered; older ones are forgotten. */
const MAX_REQUESTS = 1000;

/** The HTTPS server of a kubelet: lets in whom it knows, and finds out what they want. */
export class HttpsServer {
  readonly #accepted: Accepted;
  readonly #services: Services;
  readonly #server: Server;
  readonly #requests: KubeletRequest[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(context: Context, accepted: Accepted, services: Services) {
    this.#accepted = accepted;
    this.#services = services;
    // The limits of a kubelet.
    const limits = { maxHeaderSize: 1024 * 1024, requestTimeout: 0, keepAliveTimeout: 90_000 };
    const server = createServer({ ...context, ...limits, requestCert: true, rejectUnauthorized: false });
    // Those that were upgraded, or are still in their handshake, are not the server's to close.
    for (const event of ['connection', 'secureConnection'] as const) {
      server.on(event, (socket: Socket) => {
        this.#sockets.add(socket);
        socket.once('close', () => this.#sockets.delete(socket));
      });
    }
    server.on('request', (request, response) => {
      this.#respond(response, () => this.#admit(request, request.socket));
    });
    server.on('upgrade', (request, socket, head) => {
      // A server of node:https has no others.
      if (socket instanceof Socket) this.#upgrade(request, socket, head);
    });
    this.#server = server;
  }

  /** The last requests, oldest first. */
  get requests(): readonly KubeletRequest[] {
    return [...this.#requests];
  }

  /** Resolves with its port. */
  async listen(port: number, host: string): Promise<number> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /** For new connections. */
  setContext(context: Context): void {
    this.#server.setSecureContext(context);
  }

  /** Cuts off everybody. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #respond(response: ServerResponse, admit: () => Admitted): void {
    const answer = async (): Promise<void> => {
      const { target, query } = admit();
      await this.#services.answer(target, query, response);
    };
    answer().catch((error: unknown) => {
      if (error instanceof Refusal && !response.headersSent) refuse(response, error);
      else response.destroy();
    });
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    try {
      const { target, query } = this.#admit(request, socket);
      if (target.kind === 'exec' || target.kind === 'attach' || target.kind === 'portForward') {
        this.#services.upgrade(target, { request, socket, head, query });
      } else {
        // Whoever asks for an upgrade of something else gets the answer without it (RFC 9110 §7.8).
        this.#respond(responseOn(socket, request), () => ({ target, query }));
      }
    } catch (error) {
      if (error instanceof Refusal) refuse(responseOn(socket, request), error);
      else socket.destroy();
    }
  }

  /** @throws {@link Refusal} */
  #admit(request: IncomingMessage, socket: Socket): Admitted {
    const { method = '', url = '/' } = request;
    const headers = { ...request.headers };
    delete headers.authorization;
    let user: string | undefined;
    try {
      user = userOf(request, socket, this.#accepted);
    } finally {
      this.#requests.push({ method, url, headers, user });
      if (this.#requests.length > MAX_REQUESTS) this.#requests.shift();
    }
    const { path, query } = split(url);
    const target = parsePath(path);
    checkMethod(target, method);
    return { target, query };
  }
}

/** Not by `URL`, which takes `//x/y` for another host and resolves dots. */
function split(url: string): { readonly path: string; readonly query: URLSearchParams } {
  const at = url.indexOf('?');
  return at === -1
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at)) };
}
