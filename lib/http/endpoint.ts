import type { RequestOptions } from 'node:https';
import { InvalidOptionError } from '../errors.js';
import type { PendingSocketOptions } from './pending-socket.js';

/** What Node hands to an agent's methods: a request's options, overridden by the agent's. */
export interface ConnectOptions extends RequestOptions {
  node?: string | undefined;
  allowHalfOpen?: boolean | undefined;
}

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` for one that would not go where it says */
export function checkRequest({ socketPath }: ConnectOptions): void {
  if (socketPath) throw new InvalidOptionError('socketPath', 'cannot be reached through a tunnel');
}

/** Where the socket of a request goes. */
export function endpointOf(options: ConnectOptions): Omit<PendingSocketOptions, 'dialer'> {
  const { host, port, node, allowHalfOpen } = options;
  return { host: host ?? 'localhost', port: Number(port), node, allowHalfOpen };
}
