import type { ClientRequest } from 'node:http';
import { Agent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Dialer } from '../dialer.js';
import { checkDialer } from '../validation.js';
import { adopt, dropDeadSockets, setKept, type AgentMethods } from './agent-sockets.js';
import { checkRequest, endpointOf, type ConnectOptions } from './endpoint.js';
import { checkHttpsOptions, type TunnelHttpsAgentOptions } from './options.js';
import { PendingSocket } from './pending-socket.js';
import { startTls } from './start-tls.js';
import { nameEndpoint } from './tls-errors.js';
import { limitHandshake, serverNameOf, TLS_HANDSHAKE_TIMEOUT_MS } from './tls-handshake.js';
import { given, type TlsCredentials, type TlsSource } from '../tls/tls-source.js';

const { addRequest, keepSocketAlive } = Agent.prototype as unknown as AgentMethods;

/** What Node's agents hand to `createConnection`, beside what they say. */
interface KeyedOptions extends ConnectOptions {
  /** Names the TLS sessions that may be resumed. */
  _agentKey?: string;
}

class TunnelHttpsAgent extends Agent {
  readonly #dialer: Dialer;
  readonly #handshakeTimeoutMs: number;
  readonly #tls: TlsSource | undefined;
  #told: TlsCredentials | undefined;
  /** How often `#tls` has told others. */
  #changes = 0;

  constructor(
    dialer: Dialer,
    { tlsHandshakeTimeoutMs = TLS_HANDSHAKE_TIMEOUT_MS, tls, ...options }: TunnelHttpsAgentOptions,
  ) {
    super({ keepAlive: true, ...options });
    this.#dialer = dialer;
    this.#tls = tls;
    this.#handshakeTimeoutMs = tlsHandshakeTimeoutMs;
  }

  addRequest(request: ClientRequest, options: ConnectOptions): void {
    checkRequest(options);
    dropDeadSockets(this);
    // Node would take it from the Host header, and accept a certificate for whatever name stands there.
    const servername = options.servername ?? this.options.servername ?? serverNameOf(options.host);
    addRequest.call(this, request, { ...options, servername });
  }

  override getName(options?: ConnectOptions): string {
    return `${super.getName(options)}:${options?.node ?? ''}`;
  }

  override keepSocketAlive(socket: Duplex): boolean {
    setKept(socket, true);
    return keepSocketAlive.call(this, socket);
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    setKept(socket, false);
    super.reuseSocket(socket, request);
  }

  override createConnection(
    options: ConnectOptions,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | undefined {
    const stream = new PendingSocket({ dialer: this.#dialer, ...endpointOf(options) });
    let socket: TLSSocket;
    try {
      socket = this.#startTls(options, stream);
    } catch (error) {
      stream.destroy();
      // The request that gets this is not always the one that is being made: it may have waited for a socket.
      if (this.#tls === undefined || callback === undefined) throw error;
      callback(error as Error, stream);
      return undefined;
    }
    if (options.timeout) socket.setTimeout(options.timeout);
    adopt(socket, stream);
    stream.once('connect', () => {
      nameEndpoint(socket, stream);
      limitHandshake(socket, stream, this.#handshakeTimeoutMs);
    });
    return socket;
  }

  #startTls(options: ConnectOptions, stream: PendingSocket): TLSSocket {
    // Node's own method, for its cache of TLS sessions.
    const all = { ...options, ...this.#current(options), socket: stream } as ConnectOptions;
    return startTls(stream, () => super.createConnection(all) as TLSSocket);
  }

  /** Not among the agent's own options: by those it tells apart which sockets a request may use, and those that are up are to be used on. */
  #current({ _agentKey: key }: KeyedOptions): object | undefined {
    if (this.#tls === undefined) return undefined;
    const credentials = this.#tls.current();
    if (credentials !== this.#told) this.#changes += 1;
    this.#told = credentials;
    // A session that is resumed is not verified again, nor is our certificate shown again.
    return { ...given(credentials), ...(key !== undefined && { _agentKey: `${key}:${this.#changes}` }) };
  }
}

/**
 * An agent for `node:https` whose requests go through a dialer. The endpoint's certificate is verified
 * against the host of the request, as without a tunnel; a host that is an IP address must be in the
 * certificate as such. TLS sessions and streams are re-used as Node's own agent does. See {@link httpAgent}
 * for the rest.
 *
 * Failures of TLS are Node's own errors, such as `ERR_TLS_CERT_ALTNAME_INVALID`, with the node and the endpoint added to their message; but
 * for a handshake that takes too long: that is a {@link TlsHandshakeTimeoutError}.
 *
 * @example
 * ```ts
 * const agent = httpsAgent(dialer, { ca: readFileSync('kubelet-ca.crt'), cert, key });
 * https.get('https://10.0.0.11:10250/healthz', { agent }, (response) => response.pipe(process.stdout));
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`, also for a key or certificate that is none
 */
export function httpsAgent(dialer: Dialer, options: TunnelHttpsAgentOptions = {}): Agent {
  checkDialer(dialer);
  return new TunnelHttpsAgent(dialer, checkHttpsOptions(options));
}
