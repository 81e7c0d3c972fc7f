import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { Socket, type AddressInfo } from 'node:net';
import { InvalidOptionError } from '../../errors.js';
import { arrayOf, boolean, nonEmptyString, objectOf, optional, withDefault } from '../../validation.js';
import { createAuthority, date, type Authority, type KeyAndCertificate } from '../certificates.js';
import { refuse, Refusal, responseOn } from './answers.js';
import type { Container } from './container.js';
import { userOf } from './identity.js';
import { parseLogQuery } from './log-query.js';
import type { Node } from './node.js';
import { checkOptions, type KubeletOptions, type Settings } from './options.js';
import { checkMethod, parsePath, type Target } from './paths.js';
import { answerPlain } from './plain-endpoints.js';
import { Pods } from './pods.js';
import { sendLog } from './send-log.js';
import { createServingAuthority, serve, type Serving } from './serving-certificate.js';
import { Streaming, type OpenStreams } from './streaming.js';
import { fromMilliseconds, parseTimestamp } from './timestamp.js';
import { WebSocketUpgrade } from './websocket-upgrade.js';

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

/** A container's log, to be written by a test. */
export interface KubeletContainer {
  /**
   * Prints a line, which followers and those who are attached get at once.
   *
   * @param line - without its newline
   */
  print(line: string, options?: PrintOptions): void;
  /** The container ends: followers get the rest of the log, then its end. A process in it is killed. */
  end(): void;
  /** It ends and begins anew, with an empty log; `previous` is the log so far. */
  restart(): void;
}

export interface PrintOptions {
  /** A Date, or RFC 3339 with up to nine decimals. Default: now, to the nanosecond, later than every line before. */
  readonly time?: Date | string | undefined;
  /** Default: `stdout`. */
  readonly stream?: 'stdout' | 'stderr' | undefined;
}

/** Whom a client certificate is for. */
export interface ClientSubject {
  readonly commonName?: string | undefined;
  readonly organization?: string | undefined;
}

/** How a serving certificate differs from the one before. */
export interface CertificateChange {
  /** Default: as in the options of the kubelet. */
  readonly altNames?: readonly string[] | undefined;
  /** CN. Default: as a kubelet has it. */
  readonly commonName?: string | undefined;
  /** O. Default: as a kubelet has it. */
  readonly organization?: string | undefined;
  /** Default: an hour ago. */
  readonly notBefore?: Date | undefined;
  /** Default: in a day. */
  readonly notAfter?: Date | undefined;
  /** Whether another authority issues it, so that `certificateAuthority` changes, too. Default: false. */
  readonly newAuthority?: boolean | undefined;
}

/** Requests that are remembered; older ones are forgotten. */
const MAX_REQUESTS = 1000;

const checkChange = objectOf({
  altNames: optional(arrayOf(nonEmptyString)),
  commonName: optional(nonEmptyString),
  organization: optional(nonEmptyString),
  notBefore: optional(date),
  notAfter: optional(date),
  newAuthority: withDefault(boolean, false),
});

/**
 * Starts a kubelet's HTTPS API in this process: `/containerLogs`, `/exec`, `/attach`, `/portForward`, `/pods`, `/healthz`, `/metrics`,
 * `/stats/summary`, `/configz`, with the checks, answers and error texts of a kubelet (k8s.io/kubernetes, pkg/kubelet/server/server.go).
 * What is executed is really executed, on this machine and as this user; ports are forwarded to this machine's. For tests and demos only.
 *
 * Needs the package `ws`; a terminal (`tty`) needs `script` and `stty` of Linux.
 *
 * @example
 * ```ts
 * import { TunnelDialer } from 'tunnel-dialer';
 * import { httpsAgent } from 'tunnel-dialer/http';
 * import { startKubelet, startSshNode } from 'tunnel-dialer/testing';
 *
 * const kubelet = await startKubelet();
 * const node = await startSshNode();
 * const dialer = new TunnelDialer({ nodes: [node.spec], ssh: node.ssh });
 * kubelet.container('default', 'web', 'app').print('ready');
 *
 * const { certificate, privateKey } = kubelet.clientCertificate();
 * const agent = httpsAgent(dialer, { ca: kubelet.certificateAuthority, cert: certificate, key: privateKey });
 * https.get({ host: kubelet.host, port: kubelet.port, path: '/containerLogs/default/web/app', agent });
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`; `node:net`'s own error when the address cannot be listened on, such as
 *   `EADDRINUSE`; an Error that says so when `ws` is not installed
 */
export async function startKubelet(options: KubeletOptions = {}): Promise<Kubelet> {
  const settings = checkOptions(options);
  const kubelet = new Kubelet(settings, await WebSocketUpgrade.load());
  await kubelet.listen();
  return kubelet;
}

/** A kubelet in this process, made by {@link startKubelet}. */
export class Kubelet implements AsyncDisposable {
  readonly nodeName: string;
  /** Where it listens, as the certificate has it. */
  readonly host: string;
  readonly #settings: Settings;
  readonly #pods: Pods;
  readonly #node: Node;
  readonly #streaming: Streaming;
  readonly #server: Server;
  readonly #clients = createAuthority('kubelet-client-ca');
  readonly #open: OpenStreams = { execs: 0, attaches: 0, portForwards: 0, logs: 0 };
  readonly #requests: KubeletRequest[] = [];
  readonly #sockets = new Set<Socket>();
  #servingAuthority: Authority;
  #serving: Serving;
  #port = 0;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(settings: Settings, webSockets: WebSocketUpgrade) {
    this.nodeName = settings.nodeName;
    this.host = settings.host;
    this.#settings = settings;
    this.#pods = new Pods(settings.pods);
    this.#node = {
      name: settings.nodeName,
      startedAt: new Date(),
      pods: this.#pods,
      anonymous: settings.anonymous,
    };
    this.#streaming = new Streaming(settings, this.#pods, webSockets, this.#open);
    this.#servingAuthority = createServingAuthority(settings.nodeName);
    this.#serving = serve(this.#servingAuthority, settings);
    this.#server = createServer({
      ...this.#secureContext(),
      requestCert: true,
      rejectUnauthorized: false,
      maxHeaderSize: 1024 * 1024,
      requestTimeout: 0,
    });
    // Those that were upgraded, or are still in their handshake, are not the server's to close.
    for (const event of ['connection', 'secureConnection'] as const) {
      this.#server.on(event, (socket: Socket) => {
        this.#sockets.add(socket);
        socket.once('close', () => this.#sockets.delete(socket));
      });
    }
    this.#server.on('request', (request, response) => this.#request(request, response));
    this.#server.on('upgrade', (request, socket, head) => {
      // A server of node:https has no others.
      if (socket instanceof Socket) this.#upgrade(request, socket, head);
    });
  }

  /** 10250 on a node; here, a free one unless it was asked for. */
  get port(): number {
    return this.#port;
  }

  /** PEM that verifies it: its authority, or its certificate itself when that is self-signed. */
  get certificateAuthority(): string {
    return this.#serving.certificateAuthority;
  }

  /** A bearer token that it accepts. */
  get token(): string {
    return this.#settings.tokens[0] ?? '';
  }

  /** What is under way. */
  get open(): Readonly<OpenStreams> {
    return { ...this.#open };
  }

  /** The last 1000 requests, oldest first. */
  get requests(): readonly KubeletRequest[] {
    return [...this.#requests];
  }

  /**
   * Makes a client certificate that it accepts.
   *
   * @param subject - CN and O: user and group. Default: `kube-apiserver-kubelet-client` of `system:masters`, as kubeadm has it
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  clientCertificate(subject: ClientSubject = {}): KeyAndCertificate {
    const { commonName = 'kube-apiserver-kubelet-client', organization = 'system:masters' } = subject;
    return this.#clients.issue({ commonName, organization, purpose: 'client' });
  }

  /**
   * Takes another serving certificate and key for new connections; those that are open stay.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  replaceCertificate(change: CertificateChange = {}): void {
    const { newAuthority, ...differing } = checkChange(change, '');
    const altNames = differing.altNames ?? this.#settings.altNames;
    if (newAuthority) this.#servingAuthority = createServingAuthority(this.nodeName);
    this.#serving = serve(this.#servingAuthority, { ...this.#settings, ...differing, altNames });
    this.#server.setSecureContext(this.#secureContext());
  }

  /**
   * A container of `pods`, whose log a test writes.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` when there is none of these names
   */
  container(namespace: string, pod: string, container: string): KubeletContainer {
    const found = this.#pods.find(namespace, pod)?.container(container);
    if (found === undefined) {
      const known = this.#pods.all.flatMap((each) =>
        each.containers.map(({ name }) => `${each.namespace}/${each.name}/${name}`),
      );
      throw new InvalidOptionError('container', `must be one of the option pods: ${known.join(', ')}`);
    }
    return {
      print: (line, { time, stream = 'stdout' } = {}) => found.print(line, stream, nanoseconds(time)),
      end: () => found.end(),
      restart: () => found.restart(),
    };
  }

  /** @internal */
  async listen(): Promise<void> {
    this.#server.listen(this.#settings.port, this.#settings.host);
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Ends every connection and every process, and leaves nothing behind. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#pods.end();
    await this.#streaming.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #secureContext(): { cert: string; key: string; ca: string } {
    return { cert: this.#serving.certificate, key: this.#serving.privateKey, ca: this.#clients.certificate };
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    this.#answer(request, request.socket, response).catch((error: unknown) => {
      if (error instanceof Refusal && !response.headersSent) refuse(response, error);
      else response.destroy();
    });
  }

  async #answer(request: IncomingMessage, socket: Socket, response: ServerResponse): Promise<void> {
    const { target, query } = this.#admit(request, socket);
    switch (target.kind) {
      case 'logs':
        await this.#logs(target, query, response);
        break;
      case 'plain':
        answerPlain(target.path, this.#node, response);
        break;
      case 'exec':
      case 'attach':
      case 'portForward':
        this.#streaming.refuse(target, query);
    }
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    try {
      const { target, query } = this.#admit(request, socket);
      if (target.kind === 'exec' || target.kind === 'attach' || target.kind === 'portForward') {
        this.#streaming.upgrade(target, { request, socket, head, query });
        return;
      }
    } catch (error) {
      if (error instanceof Refusal) refuse(responseOn(socket, request), error);
      else socket.destroy();
      return;
    }
    // Whoever asks for an upgrade of something else gets the answer without it (RFC 9110 §7.8).
    this.#request(request, responseOn(socket, request));
  }

  /** @throws {@link Refusal} */
  #admit(request: IncomingMessage, socket: Socket): { target: Target; query: URLSearchParams } {
    const { method = '', url = '/' } = request;
    const headers = { ...request.headers };
    delete headers.authorization;
    const note = (user: string | undefined): void => {
      this.#requests.push({ method, url, headers, user });
      if (this.#requests.length > MAX_REQUESTS) this.#requests.shift();
    };
    let user: string | undefined;
    try {
      user = userOf(request, socket, this.#settings);
    } finally {
      note(user);
    }
    const { path, query } = split(url);
    const target = parsePath(path);
    checkMethod(target, method);
    return { target, query };
  }

  async #logs(
    { namespace, pod: podName, container: name }: Extract<Target, { kind: 'logs' }>,
    query: URLSearchParams,
    response: ServerResponse,
  ): Promise<void> {
    const wanted = parseLogQuery(query);
    const pod = this.#pods.find(namespace, podName);
    if (pod === undefined) throw new Refusal(404, `pod "${podName}" does not exist`);
    const container: Container | undefined = pod.container(name);
    if (container === undefined) throw new Refusal(404, `container "${name}" not found in pod "${podName}"`);
    const log = container.log(wanted.previous, podName);
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    this.#open.logs += 1;
    try {
      await sendLog(log, wanted, response, gone.signal);
    } finally {
      this.#open.logs -= 1;
    }
  }
}

/** Not by `URL`, which takes `//x/y` for another host and resolves dots. */
function split(url: string): { readonly path: string; readonly query: URLSearchParams } {
  const at = url.indexOf('?');
  return at === -1
    ? { path: url, query: new URLSearchParams() }
    : { path: url.slice(0, at), query: new URLSearchParams(url.slice(at)) };
}

function nanoseconds(time: Date | string | undefined): bigint | undefined {
  if (time === undefined) return undefined;
  const parsed = time instanceof Date ? fromMilliseconds(time.getTime()) : parseTimestamp(time);
  if (parsed !== undefined) return parsed;
  throw new InvalidOptionError('time', 'must be a Date or RFC 3339 such as 2026-01-05T00:00:00.000000001Z');
}
