import {
  AuthenticationError,
  ChannelRefusedError,
  ClosedError,
  DialTimeoutError,
  EndpointError,
  HostKeyError,
  NodeUnavailableError,
  PoolExhaustedError,
  TransportError,
  TunnelError,
  type EndpointErrorCode,
  type ErrorContext,
} from '../errors.js';

/*
 * The one place that knows what ssh2 1.17 and the common sshds say when something fails, and what it means.
 */

/** What a node says of an endpoint it could not reach (RFC 4254 §5.1 reason 2): `strerror` and `gai_strerror` of glibc, musl and BSD. */
const ENDPOINT_ERRORS: readonly (readonly [RegExp, EndpointErrorCode])[] = [
  [/refused/i, 'ECONNREFUSED'],
  [/timed out|timeout/i, 'ETIMEDOUT'],
  [/no route to host|host is (unreachable|down)/i, 'EHOSTUNREACH'],
  [/network (is )?(unreachable|down)/i, 'ENETUNREACH'],
  [/temporary failure in name resolution|try again/i, 'EAI_AGAIN'],
  [
    /name or service not known|nodename nor servname|name does not resolve|no address associated|not known/i,
    'ENOTFOUND',
  ],
  [/permission denied|not permitted/i, 'EACCES'],
  [/reset by peer/i, 'ECONNRESET'],
];

/** What OpenSSH says with reason 2 when it could not even try: it has run out of file descriptors (channels.c, `connect_to_helper`). */
const COULD_NOT_TRY = /^open failed$|too many open files/i;

interface Ssh2Error extends Error {
  level?: string;
  code?: string | number;
  /** The RFC's reason; empty when the peer answered with CHANNEL_CLOSE; missing when the connection went away. */
  reason?: number | '';
}

const asSsh2Error = (error: unknown): Ssh2Error =>
  error instanceof Error ? error : new Error(String(error));

/** Node's error for a name whose addresses all failed has no message of its own. */
const messageOf = (error: Error): string =>
  error instanceof AggregateError && error.message === ''
    ? error.errors.map((one) => (one instanceof Error ? one.message : String(one))).join(', ')
    : error.message;

/** Text from a peer, made safe for logs and terminals and cut to a length that a person reads. */
export function printable(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').trim();
  return clean.length > 200 ? `${clean.slice(0, 200)}…` : clean;
}

/** A dial that reached its node. */
interface EndpointContext {
  readonly node: string;
  readonly host: string;
  readonly port: number;
}

/** Translates why ssh2 could not open a channel. */
export function openFailure(error: unknown, context: EndpointContext): TunnelError {
  const cause = asSsh2Error(error);
  const description = printable(cause.message.replace('(SSH) Channel open failure:', ''));
  const endpoint = `${context.host}:${context.port}`;
  const details = { ...context, cause };
  switch (cause.reason) {
    case 1:
      return new ChannelRefusedError(
        'ERR_TUNNEL_PROHIBITED',
        `${context.node} does not permit forwarding to ${endpoint} (${description}): ` +
          'check AllowTcpForwarding, DisableForwarding and PermitOpen in its sshd_config, and restrict and permitopen in authorized_keys',
        details,
      );
    case 2: {
      if (COULD_NOT_TRY.test(description)) return outOfResources(context, description, details);
      const known = ENDPOINT_ERRORS.find(([pattern]) => pattern.test(description));
      return new EndpointError(
        known?.[1] ?? 'ECONNREFUSED',
        `${context.node} could not connect to ${endpoint}: ${description || 'no reason given'}`,
        details,
      );
    }
    case 3:
      return new ChannelRefusedError(
        'ERR_TUNNEL_PROHIBITED',
        `the sshd of ${context.node} does not know direct-tcpip channels (${description}): it cannot forward TCP`,
        details,
      );
    case 4:
      return outOfResources(context, description, details);
    case '':
    case undefined:
    default:
      return cause.reason === undefined
        ? new TransportError(
            'ERR_TUNNEL_LOST',
            `the connection to ${context.node} was lost while ${endpoint} was being dialled`,
            details,
          )
        : new ChannelRefusedError(
            'ERR_TUNNEL_PROHIBITED',
            `${context.node} refused a channel to ${endpoint}: ${description}`,
            details,
          );
  }
}

function outOfResources(
  context: EndpointContext,
  description: string,
  details: ErrorContext,
): ChannelRefusedError {
  return new ChannelRefusedError(
    'ERR_TUNNEL_RESOURCE',
    `${context.node} has no room for another channel (${description}): raise the open-file limit of its sshd, or lower pool.maxChannelsPerConnection`,
    details,
  );
}

/** A node and where its sshd is, for messages; a name that says nothing new is left out. */
export function describeNode({
  node,
  address,
  port,
}: Pick<AttemptContext, 'node' | 'address' | 'port'>): string {
  return node === address ? `${address}:${port}` : `${node} (${address}:${port})`;
}

/** What a connection knows when its attempt fails. */
export interface AttemptContext {
  node: string;
  address: string;
  port: number;
  username: string;
  /** Authentication methods tried, in words. */
  tried: readonly string[];
  /** Authentication methods that the node said it accepts. */
  accepted: readonly string[];
}

/** Translates why a connection could not be made. */
export function connectFailure(error: unknown, attempt: AttemptContext): TunnelError {
  const cause = asSsh2Error(error);
  const where = describeNode(attempt);
  const details = { node: attempt.node, cause };
  const lost = (message: string): TransportError =>
    new TransportError('ERR_TUNNEL_LOST', `${where} ${message}`, details);
  if (cause.level === 'client-authentication') {
    const tried = attempt.tried.length > 0 ? attempt.tried.join(', ') : 'nothing';
    const accepts =
      attempt.accepted.length > 0 ? `; it accepts ${printable(attempt.accepted.join(', '))}` : '';
    return new AuthenticationError(
      `${where} refused to log in ${JSON.stringify(attempt.username)} with ${tried}${accepts}: check authorized_keys and AllowUsers on the node`,
      attempt.tried,
      details,
    );
  }
  if (cause.level === 'handshake' && /no matching host key/i.test(cause.message)) {
    return new HostKeyError(
      'mismatch',
      undefined,
      `${where} has no host key of a type that is on record for it; if the node was reinstalled, check its new key and record that`,
      details,
    );
  }
  if (cause.level === 'handshake')
    return lost(`and we have no algorithm in common: ${printable(cause.message)}`);
  if (cause.level === 'protocol' && /lost before handshake/i.test(cause.message)) {
    return lost(
      'closed the connection before it identified itself: is it sshd, and is its MaxStartups reached?',
    );
  }
  if (
    cause.level === 'protocol' ||
    /^(Invalid|Bad|Unsupported|Unable to|Protocol version)/.test(cause.message)
  ) {
    return lost(`does not speak SSH as we do: ${printable(cause.message)}`);
  }
  if (typeof cause.code === 'number') return lost(`disconnected: ${printable(cause.message)}`);
  return lost(`cannot be reached: ${printable(messageOf(cause))}`);
}

/**
 * Whether a dial may go on to another node after this failure. An answer from the endpoint is an answer; a host key that is refused is
 * passed over only where the caller did not ask for that very node.
 */
export function triesNextNode(failure: TunnelError, route: 'node' | 'pod' | 'any'): boolean {
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

/** Whether a failure to connect tells its story by its own class; any other is told as the node being unavailable. */
export function isTelling(failure: TunnelError): boolean {
  return isLasting(failure) || failure instanceof DialTimeoutError || failure instanceof ClosedError;
}

/** An error of ours as it is; anything else, such as what a verifier of the user's threw, as the reason why there is no connection. */
export function asTunnelError(error: unknown, node: string): TunnelError {
  if (error instanceof TunnelError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new TransportError('ERR_TUNNEL_LOST', `no connection to ${node}: ${printable(message)}`, {
    node,
    cause: error,
  });
}

/** Whether trying again soon does not help: only a person can mend it, and sshd punishes those who insist (PerSourcePenalties). */
export function isLasting(failure: TunnelError): boolean {
  return failure instanceof AuthenticationError || failure instanceof HostKeyError;
}
