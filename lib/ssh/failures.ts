import {
  AuthenticationError,
  ChannelRefusedError,
  EndpointError,
  HostKeyError,
  TransportError,
  TunnelError,
  asError,
  formatEndpoint,
  messageOf,
  type EndpointErrorCode,
  type ErrorContext,
} from '../errors.js';
import { printable } from '../printable.js';

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

/**
 * What OpenSSH says with reason 2 when `connect` failed at once (channels.c, `connect_to_helper`): there is no route, or it has run out of
 * file descriptors. It does not say which; its log does.
 */
const FAILED_AT_ONCE = /^open failed$/i;

/** Channels on a connection from which on its sshd may have run out of file descriptors, of which it needs a dozen itself. */
const MANY_CHANNELS = 16;

/** Why a node did not open a channel, in its own words. */
export class OpenRefusal extends Error {
  override readonly name = 'OpenRefusal';
  /** RFC 4254 §5.1; `undefined` when the node answered with CHANNEL_CLOSE. */
  readonly reason: number | undefined;

  constructor(description: string, reason?: number) {
    super(printable(description));
    this.reason = reason;
  }
}

interface Ssh2Error extends Error {
  level?: string;
  code?: string | number;
}

const asSsh2Error = (error: unknown): Ssh2Error => withPrintableText(asError(error));

/** An error of ssh2's, which may quote what a peer has sent: without what a log or a terminal would act on, also in its stack. */
export function withPrintableText<E extends Error>(error: E): E {
  const { message, stack } = error;
  const text = printable(message);
  if (text === message) return error;
  error.message = text;
  if (stack !== undefined) error.stack = stack.split(message).join(text);
  return error;
}

/** Node's error for a name whose addresses all failed has no message of its own. */
const textOf = (error: Error): string =>
  error instanceof AggregateError && error.message === ''
    ? error.errors.map(messageOf).join(', ')
    : error.message;

/** A dial that reached its node. */
interface EndpointContext {
  readonly node: string;
  readonly host: string;
  readonly port: number;
  /** Channels that are open on the connection. */
  readonly openChannels: number;
}

/** Translates why a node did not open a channel. */
export function openFailure(refusal: OpenRefusal, context: EndpointContext): TunnelError {
  const { reason, message: description } = refusal;
  const { node, host, port } = context;
  const endpoint = formatEndpoint(host, port);
  const details = { node, host, port, cause: refusal };
  switch (reason) {
    case 1:
      return new ChannelRefusedError(
        'ERR_TUNNEL_PROHIBITED',
        `${context.node} does not permit forwarding to ${endpoint} (${description}): ` +
          'check AllowTcpForwarding, DisableForwarding and PermitOpen in its sshd_config, and restrict and permitopen in authorized_keys',
        details,
      );
    case 2: {
      if (/too many open files/i.test(description)) return outOfResources(context, description, details);
      if (FAILED_AT_ONCE.test(description)) return failedAtOnce(context, details);
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
    case undefined:
    default:
      return new ChannelRefusedError(
        'ERR_TUNNEL_PROHIBITED',
        `${context.node} refused a channel to ${endpoint}: ${description}`,
        details,
      );
  }
}

function failedAtOnce(context: EndpointContext, details: ErrorContext): TunnelError {
  if (context.openChannels >= MANY_CHANNELS) return outOfResources(context, 'open failed', details);
  return new EndpointError(
    'ENETUNREACH',
    `${context.node} could not connect to ${formatEndpoint(context.host, context.port)}: it failed at once, most likely for want of a route; ` +
      'the log of its sshd says why',
    details,
  );
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
  /** Whether the node has said which SSH software it is. */
  identified: boolean;
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
    // `agent (2 keys)` offered something, `agent (out of reach: …)` and `agent (no keys)` did not.
    if (attempt.tried.every((method) => /^agent \((?!\d)/.test(method))) {
      return lost(
        `cannot be logged in to, because there is no key to offer: ${printable(tried)}; start ssh-agent, or ssh-add a key`,
      );
    }
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
  if (cause.level === 'handshake' && /no matching/i.test(cause.message))
    return lost(`and we have no algorithm in common: ${printable(cause.message)}`);
  const wasCut =
    /lost before handshake/i.test(cause.message) || /^(ECONNRESET|EPIPE)$/.test(String(cause.code));
  if (wasCut && !attempt.identified) {
    // With RST instead of FIN when it has not read what we have sent by then.
    return lost(
      'closed the connection before it identified itself: is it sshd, and is its MaxStartups reached?',
    );
  }
  if (
    cause.level === 'protocol' ||
    cause.level === 'handshake' ||
    /^(Invalid|Bad|Unsupported|Unable to|Protocol version)/.test(cause.message)
  ) {
    return lost(`does not speak SSH as we do: ${printable(cause.message)}`);
  }
  if (typeof cause.code === 'number') return lost(`disconnected: ${printable(cause.message)}`);
  return lost(`cannot be reached: ${printable(textOf(cause))}`);
}

/** An error of ours as it is; anything else, such as what a verifier of the user's threw, as the reason why there is no connection. */
export function asTunnelError(error: unknown, node: string): TunnelError {
  if (error instanceof TunnelError) return error;
  return new TransportError('ERR_TUNNEL_LOST', `no connection to ${node}: ${printable(messageOf(error))}`, {
    node,
    cause: error,
  });
}
