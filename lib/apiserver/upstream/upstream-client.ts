import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import https from 'node:https';
import { isIP } from 'node:net';
import { inspect } from 'node:util';
import { listenForAbort } from '../../abortable-signal.js';
import { textOf } from '../../kubernetes/api-request.js';
import { checkToken } from '../../kubelet/token.js';
import { unlessAborted } from '../../unless-aborted.js';
import type { Caller } from '../access.js';
import type { Backend } from '../backend.js';
import { StatusError } from '../status-error.js';
import { refusalOf, tooLate, unreachable } from './failure.js';
import { checkUpstreamOptions, type UpstreamClientOptions, type UpstreamSettings } from './options.js';
import { isStale } from './upstream-agent.js';
import { UpstreamAgents, type Identity } from './upstream-agents.js';

/** In whose name the upstream is asked. */
export type Asker = Caller | 'proxy';

/** What is asked of the upstream. */
export interface UpstreamQuestion {
  /** Nobody else's credentials go with it. */
  readonly as: Asker;
  /** Default: GET. */
  readonly method?: 'GET' | 'POST' | undefined;
  /** Beside those that say who asks. */
  readonly headers?: OutgoingHttpHeaders | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** How long the answer may be, in characters. Default: 16 Mi. */
  readonly maxBytes?: number | undefined;
  /** Default: that of the client. */
  readonly timeoutMs?: number | undefined;
}

/**
 * More than the endpoints of any service take. `JSON.parse` lets nothing else run: 16 MiB of nothing but `{},` take it a second and more.
 */
const MAX_JSON_LENGTH = 16 * 2 ** 20;
/** A Status takes some hundred bytes. */
const MAX_REFUSAL_LENGTH = 64 * 2 ** 10;
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
   *   when it takes too long. The reason of the signal
   */
  async json(path: string, question: UpstreamQuestion): Promise<unknown> {
    const { timeoutMs = this.#settings.timeoutMs, signal } = question;
    signal?.throwIfAborted();
    const giveUp = new AbortController();
    const onAbort = (): void => giveUp.abort(signal?.reason);
    const timer = setTimeout(() => giveUp.abort(tooLate(timeoutMs)), timeoutMs);
    if (signal !== undefined) listenForAbort(signal, onAbort);
    try {
      return await this.#ask(path, question, giveUp.signal);
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
    const { as, method = 'GET', maxBytes = MAX_JSON_LENGTH } = question;
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

function identityOf(asker: Asker): Identity {
  return asker === 'proxy' || asker.isImpersonated === true ? 'proxy' : 'nobody';
}

/** What is put together from names must stay where it belongs, whoever is asked for them. */
function checkPath(path: string): void {
  const [bare = ''] = path.split('?', 1);
  const isDotted = bare.split('/').some((segment) => /^(\.|%2e){1,2}$/i.test(segment));
  if (/^\/[!-~]*$/.test(path) && !isDotted) return;
  throw new StatusError(400, 'BadRequest', 'the name cannot be part of a path of the API');
}

async function answerTo(
  request: ClientRequest,
  body: string | undefined,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const onAbort = (): void => void request.destroy(new Error('given up'));
  signal.addEventListener('abort', onAbort);
  request.once('close', () => signal.removeEventListener('abort', onAbort));
  if (signal.aborted) onAbort();
  return new Promise((resolve, reject) => {
    // What happens later happens to the answer, too.
    request.once('response', resolve).on('error', reject);
    // An upgrade that nobody asked for is closed by Node, which tells nothing else of it.
    request.once('close', () => reject(new Error('it switched to another protocol in place of an answer')));
    request.end(body);
  });
}

interface Reading {
  readonly maxBytes: number;
  readonly as: Asker;
}

async function readJson(
  response: IncomingMessage,
  { maxBytes, as }: Reading,
  signal: AbortSignal,
): Promise<unknown> {
  const code = response.statusCode ?? 0;
  const isGood = code >= 200 && code < 300;
  const body = await textOf(
    response.setEncoding('utf8'),
    signal,
    isGood ? maxBytes : MAX_REFUSAL_LENGTH,
  ).catch((error: unknown) => {
    if (isGood || signal.aborted) throw error;
    return '';
  });
  if (!isGood) throw refusalFor(as, refusalOf(code, body));
  try {
    return JSON.parse(body);
  } catch {
    // What a parser says would quote the answer.
    throw new StatusError(503, 'ServiceUnavailable', 'the answer of the API server is not JSON');
  }
}

/** Who asks the proxy has done nothing wrong when the proxy is not known. */
function refusalFor(as: Asker, refusal: StatusError): StatusError {
  if (refusal.code !== 401 || identityOf(as) === 'nobody') return refusal;
  const problem =
    'the API server does not know the proxy: check its token or client certificate, and whether it has expired';
  return new StatusError(503, 'ServiceUnavailable', problem, { cause: refusal });
}
