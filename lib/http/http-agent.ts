import { Agent, type ClientRequest } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Dialer } from '../dialer.js';
import { checkDialer } from '../validation.js';
import { adopt, dropDeadSockets, setKept, type AgentMethods } from './agent-sockets.js';
import { checkRequest, endpointOf, type ConnectOptions } from './endpoint.js';
import { checkHttpOptions, type TunnelHttpAgentOptions } from './options.js';
import { PendingSocket } from './pending-socket.js';

const { addRequest, keepSocketAlive } = Agent.prototype as unknown as AgentMethods;

class TunnelHttpAgent extends Agent {
  readonly #dialer: Dialer;

  constructor(dialer: Dialer, options: TunnelHttpAgentOptions) {
    super({ keepAlive: true, ...options });
    this.#dialer = dialer;
  }

  addRequest(request: ClientRequest, options: ConnectOptions): void {
    checkRequest(options);
    dropDeadSockets(this);
    addRequest.call(this, request, options);
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

  override createConnection(options: ConnectOptions): Duplex {
    const socket = new PendingSocket({ dialer: this.#dialer, ...endpointOf(options) });
    if (options.timeout) socket.setTimeout(options.timeout);
    adopt(socket, socket);
    return socket;
  }
}

/**
 * An agent for `node:http` whose requests go through a dialer. It pools and re-uses streams as Node's own
 * agent does, and has no sockets that died with their tunnel. Errors of the dial reach the request's `error`
 * event as they are.
 *
 * A response that is cut off fails with `ECONNRESET`, also one whose length nobody had announced.
 * `agent.destroy()` closes its streams, not the dialer.
 *
 * @example
 * ```ts
 * const agent = httpAgent(dialer);
 * http.get('http://10.244.1.7:8080/', { agent }, (response) => response.pipe(process.stdout));
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function httpAgent(dialer: Dialer, options: TunnelHttpAgentOptions = {}): Agent {
  checkDialer(dialer);
  return new TunnelHttpAgent(dialer, checkHttpOptions(options));
}
