import { once } from 'node:events';
import { ServerResponse, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { InvalidOptionError } from '../../errors.js';
import { createAuthority, type KeyAndCertificate } from '../certificates.js';
import { readJson } from './body.js';
import { discovery } from './discovery.js';
import { impersonated, userOf, withoutSecrets, type KnownUser } from './identity.js';
import { apiObject, RESOURCES, type ApiObject, type Resource } from './objects.js';
import { notFound, ObjectsEndpoint } from './objects-endpoint.js';
import { checkOptions, checkUser, type ApiServerOptions, type ApiUser, type Settings } from './options.js';
import { requestInfo, type RequestInfo } from './request-info.js';
import { reviewed } from './reviews.js';
import { apiRule, Rules, type ApiRule, type User } from './rules.js';
import { answer, ApiRefusal, refuse } from './status.js';
import { resourceOfKind, Store } from './store.js';

/** A request that the API server got. */
export interface ApiRequest {
  readonly method: string;
  /** Path and query, as they came. */
  readonly url: string;
  /** Without `authorization`, cookies, and a token among the protocols of a WebSocket. */
  readonly headers: IncomingHttpHeaders;
  /** Who asked; `undefined`: nobody who is known here, answered 401. */
  readonly user: string | undefined;
  /** Whom they asked to be taken for, in effect; else the same. */
  readonly as: string | undefined;
}

/** What became of an object. */
export interface ApiChange {
  /** `undefined`: it is new. */
  readonly before: ApiObject | undefined;
  /** `undefined`: it is gone. */
  readonly after: ApiObject | undefined;
}

/** Requests that are remembered; older ones are forgotten. */
const MAX_REQUESTS = 1000;

/**
 * Starts a small kube-apiserver in this process: nodes, pods, services, endpoints and endpointslices to get, list, watch and change; users
 * with tokens or client certificates, impersonation, rules as of RBAC, and reviews of them; and the discovery that kubectl needs. It has
 * no route to its nodes: whatever it would have to ask a kubelet, it answers with `error dialing backend`. For tests and demos only.
 *
 * @example
 * ```ts
 * import { startApiServer } from 'tunnel-dialer/testing';
 *
 * const apiServer = await startApiServer({ objects: [{ kind: 'Node', metadata: { name: 'node-1' } }] });
 * await writeFile('kubeconfig', apiServer.kubeconfig('admin'));
 * // kubectl --kubeconfig kubeconfig get nodes
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`; `node:net`'s own error when the address cannot be listened on
 */
export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const server = new ApiServer(checkOptions(options));
  await server.listen();
  return server;
}

/** An API server in this process, made by {@link startApiServer}. */
export class ApiServer implements AsyncDisposable {
  /** Where it listens, as the certificate has it. */
  readonly host: string;
  readonly #settings: Settings;
  readonly #authority = createAuthority('kubernetes');
  readonly #users: KnownUser[];
  readonly #rules: Rules;
  readonly #store = new Store();
  readonly #without: ReadonlySet<string>;
  readonly #objects: ObjectsEndpoint;
  readonly #server: Server;
  readonly #requests: ApiRequest[] = [];
  readonly #sockets = new Set<Socket>();
  #port = 0;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(settings: Settings) {
    this.#settings = settings;
    this.host = settings.host;
    this.#users = [...settings.users];
    this.#rules = new Rules(settings.rules);
    this.#without = new Set(settings.endpointSlices ? [] : ['discovery.k8s.io']);
    this.#objects = new ObjectsEndpoint(this.#store, this.#without);
    for (const name of ['default', 'kube-system']) this.#store.put({ kind: 'Namespace', metadata: { name } });
    for (const object of settings.objects) this.put(object);
    this.#server = this.#createServer();
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `https://${this.host.includes(':') ? `[${this.host}]` : this.host}:${this.#port}`;
  }

  /** PEM of the authority that has issued its certificate, and those of its clients. */
  get certificateAuthority(): string {
    return this.#authority.certificate;
  }

  /** The last 1000 requests, oldest first. */
  get requests(): readonly ApiRequest[] {
    return [...this.#requests];
  }

  /** Adds an object, or puts it in the place of the one that has its name, and tells the watches. */
  put(object: ApiObject): void {
    const { namespace } = this.#store.put(apiObject(object, 'object')).metadata;
    const namespaces = resourceOfKind('Namespace');
    if (namespace !== undefined && this.#store.get(namespaces, undefined, namespace) === undefined)
      this.#store.put({ kind: 'Namespace', metadata: { name: namespace } });
  }

  /** Takes an object away, and tells the watches. */
  remove(kind: string, name: string, namespace = 'default'): void {
    const resource = keptResource(kind);
    this.#store.remove(resource, resource.namespaced ? namespace : undefined, name);
  }

  /** An object as it is now; `undefined` if there is none of that name. */
  get(kind: string, name: string, namespace = 'default'): ApiObject | undefined {
    const resource = keptResource(kind);
    return this.#store.get(resource, resource.namespaced ? namespace : undefined, name);
  }

  /**
   * Tells what becomes of objects from now on, by clients and by `put` and `remove`, when those who watch have been told.
   *
   * @returns a function that ends it
   */
  onChange(listener: (change: ApiChange) => void): () => void {
    let isOver = false;
    const unfollow = this.#store.follow(({ before, after }) => {
      // So that what it changes in its turn is not told to anybody before this is.
      queueMicrotask(() => {
        if (!isOver) listener({ before, after });
      });
    });
    return () => {
      isOver = true;
      unfollow();
    };
  }

  /** Lets one more user in; returns their token. */
  addUser(user: ApiUser): string {
    const known = checkUser(user, 'user');
    this.#users.push(known);
    return known.token;
  }

  /** Knows a user's token no longer. */
  removeUser(name: string): void {
    const index = this.#users.findIndex((user) => user.name === name);
    if (index >= 0) this.#users.splice(index, 1);
  }

  allow(rule: ApiRule): void {
    this.#rules.add(apiRule(rule, 'rule'));
  }

  /** Takes back all that the rules give to a user or group. */
  revoke(subject: string): void {
    this.#rules.revoke(subject);
  }

  /** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` when there is no user of that name */
  tokenOf(user: string): string {
    const known = this.#users.find(({ name }) => name === user);
    if (known !== undefined) return known.token;
    throw new InvalidOptionError('user', `must be one of ${this.#users.map(({ name }) => name).join(', ')}`);
  }

  /** Makes a client certificate that it accepts: CN is the user, O the group. */
  clientCertificate(commonName: string, organization?: string): KeyAndCertificate {
    return this.#authority.issue({ commonName, organization, purpose: 'client' });
  }

  /** Makes a serving certificate by the same authority, for what stands in front of it. */
  servingCertificate(...altNames: readonly string[]): KeyAndCertificate {
    return this.#authority.issue({ commonName: 'kube-apiserver', altNames, purpose: 'server' });
  }

  /**
   * A kubeconfig for a user, with their token.
   *
   * @param server - URL of what stands in front of it. Default: its own
   */
  kubeconfig(user: string, server = this.url): string {
    const authority = Buffer.from(this.certificateAuthority).toString('base64');
    return JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'fake',
      contexts: [{ name: 'fake', context: { cluster: 'fake', user } }],
      clusters: [{ name: 'fake', cluster: { server, 'certificate-authority-data': authority } }],
      users: [{ name: user, user: { token: this.tokenOf(user) } }],
    });
  }

  /** @internal */
  async listen(): Promise<void> {
    const { port, host } = this.#settings;
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Cuts off every client. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #createServer(): Server {
    const { altNames } = this.#settings;
    const serving = this.#authority.issue({ commonName: 'kube-apiserver', altNames, purpose: 'server' });
    const server = createServer({
      cert: serving.certificate,
      key: serving.privateKey,
      ca: this.#authority.certificate,
      requestCert: true,
      // A wrong certificate does not break the handshake; it counts for nothing.
      rejectUnauthorized: false,
      maxHeaderSize: 1024 * 1024,
      requestTimeout: 0,
      keepAliveTimeout: 90_000,
    });
    for (const event of ['connection', 'secureConnection'] as const) {
      server.on(event, (socket: Socket) => {
        this.#sockets.add(socket);
        socket.once('close', () => this.#sockets.delete(socket));
      });
    }
    server.on('request', (request, response) => this.#respond(request, response, true));
    server.on('upgrade', (request: IncomingMessage, socket: Socket) => {
      // Nothing here can be upgraded; whoever asks gets the answer without it (RFC 9110 §7.8).
      socket.on('error', () => socket.destroy());
      const response = new ServerResponse(request);
      response.shouldKeepAlive = false;
      response.assignSocket(socket);
      response.once('finish', () => socket.destroySoon());
      this.#respond(request, response, false);
    });
    return server;
  }

  #respond(request: IncomingMessage, response: ServerResponse, hasBody: boolean): void {
    this.#serve(request, response, hasBody).catch((error: unknown) => {
      if (error instanceof ApiRefusal && !response.headersSent) refuse(response, error);
      else response.destroy();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse, hasBody: boolean): Promise<void> {
    const { method = '', url = '/' } = request;
    const at = url.indexOf('?');
    const path = at === -1 ? url : url.slice(0, at);
    const query = new URLSearchParams(at === -1 ? '' : url.slice(at));
    const user = this.#admit(request);
    const info = requestInfo(method, path, query);
    this.#rules.check(user, info);
    const body = hasBody ? await readJson(request) : undefined;
    if (info.kind === 'resource') {
      const review = reviewed(info, body, user, this.#rules);
      if (review === undefined)
        this.#objects.serve(info, { query, accept: request.headers.accept, body }, response);
      else answer(response, review, 201);
      return;
    }
    this.#answerOther(info, response);
  }

  #admit(request: IncomingMessage): User {
    const { method = '', url = '/' } = request;
    let user: User | undefined;
    let as: User | undefined;
    try {
      user = userOf(request, request.socket, this.#users);
      as = impersonated(user, request, this.#rules);
      return as;
    } finally {
      const headers = withoutSecrets(request.headers);
      this.#requests.push({ method, url, headers, user: user?.name, as: as?.name });
      if (this.#requests.length > MAX_REQUESTS) this.#requests.shift();
    }
  }

  #answerOther({ path, verb }: Extract<RequestInfo, { kind: 'other' }>, response: ServerResponse): void {
    if (['/healthz', '/livez', '/readyz'].includes(path)) {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end('ok');
      return;
    }
    const document = verb === 'get' ? discovery(path, this.#without) : undefined;
    if (document === undefined) throw notFound();
    answer(response, document);
  }
}

function keptResource(kind: string): Resource {
  const resource = RESOURCES.find((each) => each.kind === kind);
  if (resource !== undefined) return resource;
  throw new InvalidOptionError('kind', 'must be one that the API server keeps');
}
