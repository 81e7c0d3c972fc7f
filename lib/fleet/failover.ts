import {
  AuthenticationError,
  ClosedError,
  DialTimeoutError,
  HostKeyError,
  NodeUnavailableError,
  PoolExhaustedError,
  TransportError,
  type TunnelError,
} from '../errors.js';
import type { Route } from './router.js';

/**
 * Whether a dial may go on to another node after this failure. An answer from the endpoint is an answer; a host key that is refused is
 * passed over only where the caller did not ask for that very node.
 */
export function triesNextNode(failure: TunnelError, route: Route['kind']): boolean {
  if (failure instanceof HostKeyError) return route !== 'node';
  if (failure instanceof PoolExhaustedError) return route === 'any';
  return (
    failure instanceof NodeUnavailableError ||
    failure instanceof AuthenticationError ||
    failure instanceof TransportError ||
    failure instanceof DialTimeoutError ||
    failure instanceof ClosedError ||
    failure.code === 'ERR_TUNNEL_RESOURCE'
  );
}
