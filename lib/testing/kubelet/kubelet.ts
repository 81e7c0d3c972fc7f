import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { Socket, type AddressInfo } from 'node:net';
import { InvalidOptionError } from '../../errors.js';
import { createAuthority, type KeyAndCertificate } from '../certificates.js';
import { refuse, Refusal, responseOn } from './answers.js';
import type { Container } from './container.js';
import { userOf } from './identity.js';
import { parseLogQuery } from './log-query.js';
import { checkOptions, type KubeletOptions, type Settings } from './options.js';
import { parsePath, type Target } from './paths.js';
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

/** Requests that are remembered; older ones are forgotten. */
const MAX_REQUESTS = 1000;

/**
 * Starts a kubelet's HTTPS API in this process.
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
  readonly host: string;
  readonly #settings: Settings;
  readonly #pods: Pods;
  readonly #streaming: Streaming;
  readonly #server: Server;
  readonly #clients = createAuthority('kubelet-client-ca');
  readonly #open: OpenStreams = { execs: 0, attaches: 0, portForwards: 0, logs: 0 };
  readonly #requests: KubeletRequest[] = [];
  #servingAuthority;
  #serving: Serving;
  #port = 0;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(settings: Settings, webSockets: WebSocketUpgrade) {
    this.nodeName = settings.nodeName;
    this.host = settings.host;
    this.#settings = settings;
    this.#pods = new Pods(settings.pods);
    this.#streaming = new Streaming(this.#pods, webSockets, settings.protocols, this.#open);
    this.#servingAuthority = createServingAuthority(settings.nodeName);
    this.#serving = serve(this.#servingAuthority, settings);
    this.#server = createServer({
      ...this.#secureContext(),
      requestCert: true,
      rejectUnauthorized: false,
      maxHeaderSize: 1024 * 1024,
      requestTimeout: 0,
    });
    this.#server.on('request', (request, response) => this.#request(request, response));
    this.#server.on('upgrade', (request, socket, head) => {
      // A server of node:https has no others.
      if (socket instanceof Socket) this.#upgrade(request, socket, head);
    });
  }

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

  clientCertificate(subject: { commonName?: string; organization?: string } = {}): KeyAndCertificate {
    const { commonName = 'kube-apiserver-kubelet-client', organization = 'system:masters' } = subject;
    return this.#clients.issue({ commonName, organization, purpose: 'client' });
  }

  container(namespace: string, pod: string, container: string): KubeletContainer {
    const found = this.#pods.find(namespace, pod)?.container(container);
    if (found === undefined) {
      throw new InvalidOptionError(
        'container',
        `must be one of the kubelet's pods; there is no such container`,
      );
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
    this.#server.closeAllConnections();
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
        answerPlain(target.path, this.nodeName, this.#pods, response);
        break;
      case 'exec':
      case 'attach':
      case 'portForward':
        this.#streaming.check(target, query);
        throw new Refusal(500, 'Upgrade request required');
    }
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    try {
      const { target, query } = this.#admit(request, socket);
      if (target.kind === 'exec' || target.kind === 'attach' || target.kind === 'portForward') {
        this.#streaming.upgrade(target, query, request, socket, head);
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
    const { pathname, searchParams } = new URL(url, 'https://kubelet');
    return { target: parsePath(pathname), query: searchParams };
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

function nanoseconds(time: Date | string | undefined): bigint | undefined {
  if (time === undefined) return undefined;
  const parsed = time instanceof Date ? fromMilliseconds(time.getTime()) : parseTimestamp(time);
  if (parsed !== undefined) return parsed;
  throw new InvalidOptionError('time', 'must be a Date or RFC 3339 such as 2026-01-05T00:00:00.000000001Z');
}
