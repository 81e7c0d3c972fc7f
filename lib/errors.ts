/** Where an error happened; every field is optional because not every error has a node or an endpoint. */
export interface ErrorContext {
  /** Name of the node that carried, or should have carried, the dial. */
  node?: string | undefined;
  /** The endpoint's host, as the node was asked for it. */
  host?: string | undefined;
  /** The endpoint's port. */
  port?: number | undefined;
  /** The original error. */
  cause?: unknown;
}

/** An endpoint as a person writes it: `10.0.0.11:10250`, `[fd00::1]:443`. */
export const formatEndpoint = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** Every `code` of a {@link TunnelError}. */
export type TunnelErrorCode =
  | 'ERR_TUNNEL_AUTH'
  | 'ERR_TUNNEL_CLOSED'
  | 'ERR_TUNNEL_HOST_KEY'
  | 'ERR_TUNNEL_INVALID_OPTION'
  | 'ERR_TUNNEL_LOST'
  | 'ERR_TUNNEL_NODE_UNAVAILABLE'
  | 'ERR_TUNNEL_NO_ROUTE'
  | 'ERR_TUNNEL_POOL_EXHAUSTED'
  | 'ERR_TUNNEL_PROHIBITED'
  | 'ERR_TUNNEL_RESOURCE'
  | KubeletErrorCode
  | EndpointErrorCode;

/** What a kubelet did: its refusals by their HTTP status, and what else went wrong with it. */
export type KubeletErrorCode =
  | 'ERR_KUBELET_ANSWER'
  | 'ERR_KUBELET_BAD_REQUEST'
  | 'ERR_KUBELET_CERTIFICATE'
  | 'ERR_KUBELET_CLOSED'
  | 'ERR_KUBELET_COMMAND'
  | 'ERR_KUBELET_FORBIDDEN'
  | 'ERR_KUBELET_LOG_CUT'
  | 'ERR_KUBELET_NOT_FOUND'
  | 'ERR_KUBELET_NO_HALF_CLOSE'
  | 'ERR_KUBELET_NO_WS'
  | 'ERR_KUBELET_PORT_FORWARD'
  | 'ERR_KUBELET_PROTOCOL'
  | 'ERR_KUBELET_STATUS'
  | 'ERR_KUBELET_TIMEOUT'
  | 'ERR_KUBELET_UNAUTHORIZED';

/** Base of every error of this library. `code` is a contract; `message` is for people; `cause` is the original. */
export class TunnelError extends Error {
  readonly code: TunnelErrorCode;
  declare readonly node?: string;
  declare readonly host?: string;
  declare readonly port?: number;

  constructor(code: TunnelErrorCode, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = new.target.name;
    this.code = code;
    const { node, host, port } = context;
    Object.assign(
      this,
      node !== undefined && { node },
      host !== undefined && { host },
      port !== undefined && { port },
    );
  }
}

/** A wrong option or argument, found before any I/O. */
export class InvalidOptionError extends TunnelError {
  declare readonly code: 'ERR_TUNNEL_INVALID_OPTION';
  /** Path of the option, such as `pool.maxConnections` or `nodes[3].address`. */
  readonly option: string;

  constructor(option: string, problem: string, context?: ErrorContext) {
    super('ERR_TUNNEL_INVALID_OPTION', `${option} ${problem}`, context);
    this.option = option;
  }
}

/** No node is a candidate for the dial. */
export class NoRouteError extends TunnelError {
  declare readonly code: 'ERR_TUNNEL_NO_ROUTE';

  constructor(message: string, context?: ErrorContext) {
    super('ERR_TUNNEL_NO_ROUTE', message, context);
  }
}

/** The node is in back-off, or could not be connected; `cause` is the last failure. */
export class NodeUnavailableError extends TunnelError {
  declare readonly code: 'ERR_TUNNEL_NODE_UNAVAILABLE';
  /** When the next attempt to connect may be made. */
  readonly retryAt: Date;

  constructor(message: string, retryAt: Date, context?: ErrorContext) {
    super('ERR_TUNNEL_NODE_UNAVAILABLE', message, context);
    this.retryAt = retryAt;
  }
}

/** Why a host key was not accepted. */
export type HostKeyRejection = 'unknown' | 'mismatch' | 'revoked';

/** The node's host key was not accepted. */
export class HostKeyError extends TunnelError {
  declare readonly code: 'ERR_TUNNEL_HOST_KEY';
  readonly reason: HostKeyRejection;
  /** `SHA256:…` of the key that the node presented; `undefined` when it has none of a type on record. */
  readonly fingerprint: string | undefined;

  constructor(
    reason: HostKeyRejection,
    fingerprint: string | undefined,
    message: string,
    context?: ErrorContext,
  ) {
    super('ERR_TUNNEL_HOST_KEY', message, context);
    this.reason = reason;
    this.fingerprint = fingerprint;
  }
}

/** The node's sshd refused every authentication method. */
export class AuthenticationError extends TunnelError {
  declare readonly code: 'ERR_TUNNEL_AUTH';
  /** What was tried, such as `publickey (ssh-ed25519 SHA256:…)`. */
  readonly methods: readonly string[];

  constructor(message: string, methods: readonly string[], context?: ErrorContext) {
    super('ERR_TUNNEL_AUTH', message, context);
    this.methods = methods;
  }
}

/** sshd's policy or limits forbid the channel: RFC 4254 §5.1 reasons 1 (prohibited), 3 (unknown type), 4 (resource shortage). */
export class ChannelRefusedError extends TunnelError {
  declare readonly code: 'ERR_TUNNEL_PROHIBITED' | 'ERR_TUNNEL_RESOURCE';
}

/** What a direct `net.connect` would have said of the endpoint. */
export type EndpointErrorCode =
  | 'EACCES'
  | 'EAI_AGAIN'
  | 'ECONNREFUSED'
  | 'ECONNRESET'
  | 'EHOSTUNREACH'
  | 'ENETUNREACH'
  | 'ENOTFOUND'
  | 'ETIMEDOUT';

/** The node answered, the endpoint did not. The connection to the node is fine. */
export class EndpointError extends TunnelError {
  declare readonly code: EndpointErrorCode;
}

/** The connection to the node was lost or declared dead: `ECONNRESET` on a stream, `ERR_TUNNEL_LOST` on a dial. */
export class TransportError extends TunnelError {
  declare readonly code: 'ECONNRESET' | 'ERR_TUNNEL_LOST';
}

/** What a dial was waiting for when its deadline passed. */
export type DialPhase = 'queue' | 'connect' | 'open';

/** A deadline of ours passed. */
export class DialTimeoutError extends TunnelError {
  declare readonly code: 'ETIMEDOUT';
  readonly phase: DialPhase;

  constructor(phase: DialPhase, message: string, context?: ErrorContext) {
    super('ETIMEDOUT', message, context);
    this.phase = phase;
  }
}

/** The node's queue of waiting dials is full. */
export class PoolExhaustedError extends TunnelError {
  declare readonly code: 'ERR_TUNNEL_POOL_EXHAUSTED';

  constructor(message: string, context?: ErrorContext) {
    super('ERR_TUNNEL_POOL_EXHAUSTED', message, context);
  }
}

/** The dialer, or the node's place in it, was closed or destroyed. */
export class ClosedError extends TunnelError {
  declare readonly code: 'ERR_TUNNEL_CLOSED';

  constructor(message: string, context?: ErrorContext) {
    super('ERR_TUNNEL_CLOSED', message, context);
  }
}

/** Several nodes failed; `errors` holds one error per node, in the order tried. */
export class AllNodesFailedError extends AggregateError {
  readonly code = 'ERR_TUNNEL_ALL_NODES_FAILED';
  /** The endpoint, when it was a dial that failed. */
  declare readonly host?: string;
  declare readonly port?: number;
  declare readonly errors: TunnelError[];

  constructor(errors: readonly TunnelError[], problem: string, { host, port }: ErrorContext = {}) {
    super(
      errors,
      `${problem} (${errors.map(({ node, message }) => `${node ?? '?'}: ${message}`).join('; ')})`,
    );
    this.name = 'AllNodesFailedError';
    Object.assign(this, host !== undefined && { host }, port !== undefined && { port });
  }
}

/** Whether trying again soon does not help: only a person can mend it, and sshd punishes those who insist (PerSourcePenalties). */
export function isLasting(failure: TunnelError): boolean {
  return failure instanceof AuthenticationError || failure instanceof HostKeyError;
}

/** What an error says, or whatever was thrown in place of one. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** What was thrown, or is a signal's reason, as an error. */
export const asError = (reason: unknown): Error =>
  reason instanceof Error ? reason : new Error(String(reason));
