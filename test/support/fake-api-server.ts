import { EventEmitter, once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket, type PeerCertificate } from 'node:tls';
import { createAuthority, type Authority } from '../../lib/testing/certificates.js';
import type { KubernetesNode } from '../../lib/kubernetes/node-spec.js';

export type FakeNode = KubernetesNode & {
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
};

type Kind = 'list' | 'watch';

/** A request, as it came. */
export interface Asked {
  readonly kind: Kind;
  readonly query: Readonly<Record<string, string>>;
  readonly authorization: string | undefined;
  /** Common name of the client's certificate. */
  readonly client: string | undefined;
}

/** What to do with a request in place of answering it. */
export type Fault = (response: ServerResponse) => void;

interface Change {
  readonly version: number;
  readonly before: FakeNode | undefined;
  readonly after: FakeNode | undefined;
}

interface Watcher {
  readonly response: ServerResponse;
  readonly selector: string | undefined;
}

/** Answers with a Status, as an API server does. */
export const status =
  (code: number, message = 'no'): Fault =>
  (response) => {
    response.writeHead(code, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ kind: 'Status', code, message }));
  };

/** Never answers. */
export const hang: Fault = () => undefined;

/** Speaks as much of an API server as listing and watching Nodes needs, and can be made to fail. For https and loopback only. */
export class FakeApiServer {
  readonly authority: Authority = createAuthority('cluster');
  /** Bearer tokens that are good. */
  readonly tokens = new Set(['good']);
  /** What was asked for so far. */
  readonly asked: Asked[] = [];
  /** Nodes in a page, whatever the client allows. */
  pageSize = 1_000;
  /** How it tells that a version is too old. */
  goneAs: 'status' | 'event' = 'status';
  readonly #server: Server;
  readonly #events = new EventEmitter<{ asked: []; idle: [] }>();
  readonly #sockets = new Set<Socket>();
  readonly #watchers = new Set<Watcher>();
  readonly #faults: Record<Kind, Fault[]> = { list: [], watch: [] };
  readonly #nodes = new Map<string, FakeNode>();
  #changes: Change[] = [];
  #version = 100;
  #oldest = 0;

  private constructor() {
    const { certificate: cert, privateKey: key } = this.authority.issue({
      commonName: 'api',
      altNames: ['127.0.0.1'],
    });
    // Who the client is, it judges itself, so as to answer as an API server does.
    const tls = { cert, key, ca: this.authority.certificate, requestCert: true, rejectUnauthorized: false };
    this.#server = createServer(tls, (request, response) => this.#answer(request, response));
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        if (this.#sockets.size === 0) this.#events.emit('idle');
      });
    });
  }

  static async start(): Promise<FakeApiServer> {
    const server = new FakeApiServer();
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** A kubeconfig whose one context uses these credentials. */
  kubeconfig(user: object = { token: 'good' }, cluster: object = {}): string {
    const authority = Buffer.from(this.authority.certificate).toString('base64');
    const server = `https://127.0.0.1:${this.port}`;
    const details = { server, 'certificate-authority-data': authority, ...cluster };
    return JSON.stringify({
      'current-context': 'here',
      contexts: [{ name: 'here', context: { cluster: 'c', user: 'u' } }],
      clusters: [{ name: 'c', cluster: details }],
      users: [{ name: 'u', user }],
    });
  }

  /** Adds nodes, or changes those of the same name. */
  put(...nodes: readonly FakeNode[]): void {
    for (const node of nodes) this.#change(node.metadata.name, node);
  }

  remove(name: string): void {
    this.#change(name, undefined);
  }

  /** Tells every watch the version, and nothing else. */
  bookmark(): void {
    this.#version += 1;
    this.tell({ type: 'BOOKMARK', object: { metadata: { resourceVersion: String(this.#version) } } });
  }

  /** Forgets the past: versions up to now are too old for a watch. */
  compact(): void {
    this.#version += 1;
    this.#oldest = this.#version;
    this.#changes = [];
  }

  /** Writes something to every watch: a string as it is, else an event. */
  tell(event: unknown): void {
    const text = typeof event === 'string' ? event : `${JSON.stringify(event)}\n`;
    for (const { response } of this.#watchers) response.write(text);
  }

  /** Ends every watch, as an API server does when its time is up. */
  endWatches(): void {
    for (const { response } of this.#watchers) response.end();
    this.#watchers.clear();
  }

  /** Cuts the connections of every watch. */
  cutWatches(): void {
    for (const { response } of this.#watchers) response.socket?.destroy();
    this.#watchers.clear();
  }

  /** What becomes of the next requests of this kind, one after the other; those that come after are answered. */
  fail(kind: Kind, ...faults: readonly Fault[]): void {
    this.#faults[kind].push(...faults);
  }

  /** Answers everything again. */
  heal(): void {
    this.#faults.list.length = 0;
    this.#faults.watch.length = 0;
  }

  /** The nth request of this kind, counted from 1. */
  async request(kind: Kind, nth = 1): Promise<Asked> {
    for (;;) {
      const found = this.asked.filter((asked) => asked.kind === kind)[nth - 1];
      if (found !== undefined) return found;
      await once(this.#events, 'asked');
    }
  }

  /** Resolves when no connection is open. */
  async idle(): Promise<void> {
    if (this.#sockets.size > 0) await once(this.#events, 'idle');
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', 'https://api');
    const query = Object.fromEntries(url.searchParams);
    const kind = query.watch === 'true' ? 'watch' : 'list';
    const { authorization } = request.headers;
    const client = clientOf(request.socket);
    this.asked.push({ kind, query, authorization, client });
    const fault = this.#faults[kind].shift();
    const isKnown =
      client !== undefined || this.tokens.has(/^Bearer (.*)$/.exec(authorization ?? '')?.[1] ?? '');
    if (fault !== undefined) fault(response);
    else if (!isKnown) status(401, 'Unauthorized')(response);
    else if (url.pathname !== '/api/v1/nodes') status(404)(response);
    else if (kind === 'list') this.#list(response, query);
    else this.#watch(response, query);
    this.#events.emit('asked');
  }

  #list(response: ServerResponse, query: Readonly<Record<string, string>>): void {
    const start = Number(query.continue ?? 0);
    const all = [...this.#nodes.values()].filter((node) => matches(node, query.labelSelector));
    const end = start + Math.min(this.pageSize, Number(query.limit));
    const metadata = {
      resourceVersion: String(this.#version),
      ...(end < all.length && { continue: String(end) }),
    };
    response.end(JSON.stringify({ kind: 'NodeList', metadata, items: all.slice(start, end) }));
  }

  #watch(response: ServerResponse, query: Readonly<Record<string, string>>): void {
    const since = Number(query.resourceVersion);
    const isGone = since < this.#oldest;
    if (isGone && this.goneAs === 'status') {
      status(410, 'too old resource version')(response);
      return;
    }
    response.flushHeaders();
    if (isGone) {
      const object = { kind: 'Status', code: 410, message: 'too old resource version' };
      response.end(`${JSON.stringify({ type: 'ERROR', object })}\n`);
      return;
    }
    const watcher = { response, selector: query.labelSelector };
    this.#watchers.add(watcher);
    response.once('close', () => this.#watchers.delete(watcher));
    for (const change of this.#changes) if (change.version > since) tell(watcher, change);
  }

  #change(name: string, node: FakeNode | undefined): void {
    this.#version += 1;
    const version = this.#version;
    const stamped = (of: FakeNode): FakeNode => ({
      ...of,
      metadata: { ...of.metadata, resourceVersion: String(version) },
    });
    const before = this.#nodes.get(name);
    const after = node === undefined ? undefined : stamped(node);
    if (after === undefined) this.#nodes.delete(name);
    else this.#nodes.set(name, after);
    const change = { version, before: before === undefined ? undefined : stamped(before), after };
    this.#changes.push(change);
    for (const watcher of this.#watchers) tell(watcher, change);
  }
}

/** Common name of the certificate that a client has shown and that is good. */
function clientOf(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  // A session that is resumed counts as authorized, even without a certificate.
  const { subject } = socket.getPeerCertificate() as Partial<PeerCertificate>;
  return subject === undefined ? undefined : String(subject.CN);
}

/** As a watch with a selector sees it: a node that matches no longer is deleted. */
function tell({ response, selector }: Watcher, { before, after }: Change): void {
  const was = before !== undefined && matches(before, selector);
  const is = after !== undefined && matches(after, selector);
  const type = is ? (was ? 'MODIFIED' : 'ADDED') : 'DELETED';
  if (was || is) response.write(`${JSON.stringify({ type, object: is ? after : before })}\n`);
}

function matches({ metadata }: FakeNode, selector: string | undefined): boolean {
  const [key = '', value] = selector?.split('=') ?? [];
  return selector === undefined || metadata.labels?.[key] === value;
}
