import type { IncomingHttpHeaders } from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { inspect } from 'node:util';
import { listenForAbort } from '../../abortable-signal.js';
import { checkToken } from '../../kubelet/token.js';
import { unlessAborted } from '../../unless-aborted.js';
import { answerTo } from '../answer-to.js';
import type { Backend } from '../backend.js';
import { StatusError } from '../status-error.js';
import { readJson } from './answer.js';
import { AtOnce } from './at-once.js';
import { tooLate, unreachable } from './failure.js';
import { checkUpstreamOptions, type UpstreamClientOptions, type UpstreamSettings } from './options.js';
import { checkPath, identityOf, type Asker, type UpstreamQuestion } from './question.js';
import { isStale } from './upstream-agent.js';
import { UpstreamAgents } from './upstream-agents.js';

/** How many of the proxy's questions, reviews and lookups, are asked at once: each takes a connection. */
const MAX_ASKED = 100;
/** As many wait for that; one that does is given up like one that is under way when it takes too long. */
const MAX_WAITING = 2000;
/** As many kept connections may turn out to be dead before one request; a new one is not tried again. */
const MAX_STALE = 16;

/**
 * The kube-apiserver that an apiserver proxy stands in front of. Its certificate is verified always; connections are kept, those made in
 * the proxy's own name apart from all others.
 *
 * @example
 * ```ts
 * const upstream = new UpstreamClient({
 *   server: 'https://10.0.0.1:6443',
 *   certificateAuthority: readFileSync('/etc/kubernetes/pki/ca.crt'),
 *   tokenFile: '/var/run/secrets/kubernetes.io/serviceaccount/token',
 * });
 * ```
 */
export class UpstreamClient {
  readonly #settings: UpstreamSettings;
  readonly #agents: UpstreamAgents;
  /** As in the URL of a request to it: the host, in brackets if it is IPv6, and the port. */
  readonly authority: string;
  /** Goes before the path of every request. */
  readonly #prefix: string;
  readonly #host: string;
  readonly #port: number;
  readonly #questions = new AtOnce({ max: MAX_ASKED, maxWaiting: MAX_WAITING });
  #isClosed = false;

  /** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
  constructor(options: UpstreamClientOptions) {
    const settings = checkUpstreamOptions(options);
    const { server, serverName, connectTimeoutMs } = settings;
    this.#settings = settings;
    this.#host = server.hostname.replace(/^\[(.*)\]$/, '$1');
    this.#port = server.port === '' ? 443 : Number(server.port);
    this.authority = server.host;
    this.#prefix = server.pathname.replace(/\/+$/, '');
    const servername = serverName ?? (isIP(this.#host) === 0 ? this.#host : '');
    const endpoint = { host: this.#host, port: this.#port, servername, connectTimeoutMs };
    this.#agents = new UpstreamAgents(endpoint, settings.credentials);
  }

  /** Whether the proxy has credentials of its own. */
  get hasIdentity(): boolean {
    return this.#settings.tellToken !== undefined || this.#settings.credentials().cert !== undefined;
  }

  /** The path by which the upstream knows a request. */
  pathOf(path: string): string {
    return `${this.#prefix}${path}`;
  }

  /**
   * The proxy's own `Authorization`; nothing if a client certificate says who it is.
   *
   * @throws {@link StatusError} 503 if the token cannot be had
   */
  async ownHeaders(): Promise<{ readonly authorization?: string }> {
    const { tellToken } = this.#settings;
    if (tellToken === undefined) return {};
    try {
      return { authorization: `Bearer ${checkToken(await tellToken(), 'token()')}` };
    } catch (error) {
      const problem = 'the proxy has no token for the API server: check its token or tokenFile';
      throw new StatusError(503, 'ServiceUnavailable', problem, { cause: error });
    }
  }

  /** The headers that say who asks. */
  headersOf(asker: Asker): Promise<IncomingHttpHeaders> {
    return asker === 'proxy' ? this.ownHeaders() : asker.upstreamHeaders();
  }

  /**
   * The upstream as something that requests are sent to, over connections that the asker's requests may take. It may change with
   * credentials: ask for each request.
   */
  backendFor(asker: Asker): Backend {
    const agent = this.#agents.for(identityOf(asker));
    return {
      scheme: 'https',
      host: this.#host,
      port: this.#port,
      authority: this.authority,
      agent,
      connect: (signal) => agent.connect(signal),
    };
  }

  /**
   * Asks the upstream for something in JSON.
   *
   * @param path - path and query
   * @throws {@link StatusError}: what the upstream answers when it refuses; 503 when it cannot be reached, or what it says is no answer; 504
   *   when it takes too long, 429 when too much is asked at once. The reason of the signal
   */
  async json(path: string, question: UpstreamQuestion): Promise<unknown> {
    const { timeoutMs = this.#settings.timeoutMs, signal } = question;
    signal?.throwIfAborted();
    const giveUp = new AbortController();
    const onAbort = (): void => giveUp.abort(signal?.reason);
    const timer = setTimeout(() => giveUp.abort(tooLate(timeoutMs)), timeoutMs);
    if (signal !== undefined) listenForAbort(signal, onAbort);
    try {
      return await this.#questions.run(() => this.#ask(path, question, giveUp.signal), giveUp.signal);
    } catch (error) {
      if (giveUp.signal.aborted) throw giveUp.signal.reason;
      throw unreachable(error);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Cuts off every request, and closes every connection. */
  close(): void {
    this.#isClosed = true;
    this.#agents.destroy();
  }

  /** Nothing of what it holds is for a log. */
  [inspect.custom](): string {
    return `UpstreamClient { ${this.authority} }`;
  }

  async #ask(path: string, question: UpstreamQuestion, signal: AbortSignal): Promise<unknown> {
    checkPath(path);
    const { as, method = 'GET', maxBytes } = question;
    if (as === 'proxy' && !this.hasIdentity) {
      const problem = 'the proxy has no credentials of its own: give it a token or a client certificate';
      throw new StatusError(503, 'ServiceUnavailable', problem);
    }
    const body = question.body === undefined ? undefined : JSON.stringify(question.body);
    const headers = {
      ...question.headers,
      accept: 'application/json',
      'user-agent': 'tunnel-dialer',
      ...(body !== undefined && {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
      }),
      ...(await unlessAborted(this.headersOf(as), signal)),
      host: this.authority,
    };
    for (let stale = 0; ; stale += 1) {
      if (this.#isClosed) throw new StatusError(503, 'ServiceUnavailable', 'the proxy is shutting down');
      const { agent } = this.backendFor(as);
      const request = https.request({
        agent,
        host: this.#host,
        port: this.#port,
        method,
        path: this.pathOf(path),
        headers,
      });
      try {
        const response = await answerTo(request, body, signal);
        return await readJson(response, { maxBytes, as }, signal);
      } catch (error) {
        // What is asked here changes nothing, a review neither.
        if (signal.aborted || !isStale(request, error) || stale === MAX_STALE) throw error;
      }
    }
  }
}
