import {
  AllNodesFailedError,
  ChannelRefusedError,
  DialTimeoutError,
  EndpointError,
  InvalidOptionError,
  NoRouteError,
} from '../errors.js';

/** Why a dial failed, as far as a proxy's client can make use of it. */
export type Failure =
  /** What the client asked for is no host and port. */
  | 'bad-request'
  /** Nobody listens at the endpoint. */
  | 'refused'
  | 'host-unreachable'
  | 'network-unreachable'
  /** The node's sshd, or its firewall, does not allow it. */
  | 'prohibited'
  | 'timeout'
  /** Something else about the endpoint. */
  | 'endpoint'
  /** No node is a candidate. */
  | 'no-route'
  /** Something about the tunnel. */
  | 'tunnel';

/** What kind of failure an error of `dial` is. Several nodes that failed alike failed as one; otherwise it is the tunnel's. */
export function failureOf(error: unknown): Failure {
  if (error instanceof AllNodesFailedError) {
    const [first = 'tunnel', ...others] = error.errors.map(failureOf);
    return others.every((other) => other === first) ? first : 'tunnel';
  }
  if (error instanceof EndpointError) return failureOfEndpoint(error);
  if (error instanceof DialTimeoutError) return 'timeout';
  if (error instanceof NoRouteError) return 'no-route';
  if (error instanceof InvalidOptionError) return 'bad-request';
  if (error instanceof ChannelRefusedError && error.code === 'ERR_TUNNEL_PROHIBITED') return 'prohibited';
  return 'tunnel';
}

function failureOfEndpoint({ code }: EndpointError): Failure {
  switch (code) {
    case 'ECONNREFUSED':
      return 'refused';
    case 'EHOSTUNREACH':
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'host-unreachable';
    case 'ENETUNREACH':
      return 'network-unreachable';
    case 'EACCES':
      return 'prohibited';
    case 'ETIMEDOUT':
      return 'timeout';
    case 'ECONNRESET':
      return 'endpoint';
  }
}
