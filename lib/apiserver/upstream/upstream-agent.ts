import { once } from 'node:events';
import { Agent, type RequestOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { given, type TlsCredentials } from '../../tls/tls-source.js';

/** Its type says that it returns nothing. */
const { keepSocketAlive } = Agent.prototype as unknown as {
  readonly keepSocketAlive: (this: Agent, socket: Duplex) => boolean;
};

/** Where an {@link UpstreamAgent} connects to, and how. */
export interface UpstreamEndpoint {
  /** IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  /** The name to ask for and to verify; `''` is none, for an IP address (RFC 6066 §3), which is verified all the same. */
  readonly servername: string;
  readonly connectTimeoutMs: number;
}

/** How long a connection is kept for the next request, in milliseconds; an API server ends one after 90 s or more. */
const KEPT_MS = 60_000;
/** As many requests at once find a connection that is up. */
const MAX_KEPT = 64;
/** How long a connection is silent before the kernel asks whether there is still somebody: a watch only waits, and would do so for ever. */
const SILENT_MS = 30_000;

/** Connections to the upstream that have not yet been verified are given up after a while: Node has no deadline for that. */
export class UpstreamConnectTimeoutError extends Error {
  override readonly name = 'UpstreamConnectTimeoutError';
  readonly code = 'ETIMEDOUT';
}

/** An agent for one API server, with TLS credentials that stay. It always connects to the same place, whatever a request says. */
export class UpstreamAgent extends Agent {
  readonly #endpoint: UpstreamEndpoint;
  /** Not among the agent's options, where `util.inspect` would show the key. */
  readonly #credentials: TlsCredentials;
  #isRetired = false;

  constructor(endpoint: UpstreamEndpoint, credentials: TlsCredentials) {
    // A session that is resumed would not be verified again.
    super({
      keepAlive: true,
      keepAliveMsecs: SILENT_MS,
      timeout: KEPT_MS,
      maxFreeSockets: MAX_KEPT,
      maxCachedSessions: 0,
    });
    this.#endpoint = endpoint;
    this.#credentials = credentials;
  }

  /** One more connection, of which this agent knows nothing: TLS is done. */
  async connect(signal?: AbortSignal): Promise<Duplex> {
    signal?.throwIfAborted();
    const socket = this.createConnection({});
    const onAbort = (): void => void socket.destroy(new Error('given up'));
    signal?.addEventListener('abort', onAbort);
    try {
      await once(socket, 'secureConnect');
      return socket.setTimeout(0);
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Closes the connections that are idle, and the others when they have become so. */
  retire(): void {
    this.#isRetired = true;
    for (const socket of Object.values(this.freeSockets).flat()) socket?.destroy();
  }

  override keepSocketAlive(socket: Duplex): boolean {
    return !this.#isRetired && keepSocketAlive.call(this, socket);
  }

  override createConnection(options: RequestOptions): TLSSocket {
    const { host, port, servername, connectTimeoutMs } = this.#endpoint;
    const socket = super.createConnection({
      ...options,
      host,
      port,
      servername,
      ALPNProtocols: ['http/1.1'],
      noDelay: true,
      ...given(this.#credentials),
    } as RequestOptions);
    // Node's own method makes no others.
    if (!(socket instanceof TLSSocket)) throw new TypeError('no TLS socket');
    // Of TLS, Node does that only for connections that were kept.
    socket.once('connect', () => socket.setKeepAlive(true, SILENT_MS));
    const timer = setTimeout(() => {
      const problem = `${host}:${port} did not finish the TLS handshake within ${connectTimeoutMs} ms`;
      socket.destroy(new UpstreamConnectTimeoutError(problem));
    }, connectTimeoutMs);
    const stop = (): void => clearTimeout(timer);
    socket.once('secureConnect', stop).once('close', stop);
    return socket;
  }
}

/** Whether a connection that was kept turned out to be dead before it carried anything back. */
export function isStale(request: { readonly reusedSocket: boolean }, error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return request.reusedSocket && (code === 'ECONNRESET' || code === 'EPIPE');
}
