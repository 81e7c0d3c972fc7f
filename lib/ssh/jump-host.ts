import { AbortSource, type AbortableSignal } from '../abortable-signal.js';
import {
  DialTimeoutError,
  NodeUnavailableError,
  TransportError,
  isLasting,
  type TunnelError,
} from '../errors.js';
import type { ChannelSocket } from './channel-socket.js';
import { asTunnelError, describeNode } from './failures.js';
import { silenceError, whenOver, type Patience } from './patience.js';

/** A node that carries the connections to others. */
export interface JumpHost {
  /** Name of the node. */
  readonly name: string;
  /** How many jump hosts it is behind itself. */
  readonly hops: number;
  /** Opens a stream to another node's sshd, whose address is resolved on the jump host. */
  dial(host: string, port: number, timeoutMs: number, signal: AbortableSignal): Promise<ChannelSocket>;
}

/** How many jump hosts there are on the way to a node. */
export const hopsBehind = (via: JumpHost | undefined): number => (via === undefined ? 0 : via.hops + 1);

/** A node that is behind a jump host. */
interface Destination {
  readonly node: string;
  readonly address: string;
  readonly port: number;
}

/**
 * Opens a stream to a node's sshd through the node's jump host.
 *
 * @throws the signal's reason; what only a person can mend, as it is: it is the jump host's; `DialTimeoutError`; `TransportError`
 */
export async function jump(
  via: JumpHost,
  destination: Destination,
  timeoutMs: number,
  signal: AbortableSignal,
  patience?: Patience,
): Promise<ChannelSocket> {
  const { node, address, port } = destination;
  const where = describeNode(destination);
  const giveUp = new AbortSource();
  const onAbort = (): void => giveUp.abort(signal.reason);
  signal.addEventListener('abort', onAbort);
  const impatience =
    patience &&
    whenOver(patience, () => giveUp.abort(silenceError(`${where} through ${via.name}`, node, patience)));
  try {
    return await via.dial(address, port, timeoutMs, giveUp);
  } catch (error) {
    giveUp.throwIfAborted();
    throw unreachable(asTunnelError(error, via.name), via.name, node, where);
  } finally {
    clearInterval(impatience);
    signal.removeEventListener('abort', onAbort);
  }
}

function unreachable(cause: TunnelError, via: string, node: string, where: string): TunnelError {
  if (isLasting(cause)) return cause;
  const message = `${where} cannot be reached through ${via}: ${reasonOf(cause)}`;
  return cause instanceof DialTimeoutError
    ? new DialTimeoutError('connect', message, { node, cause })
    : new TransportError('ERR_TUNNEL_LOST', message, { node, cause });
}

/** Without the time of the jump host's next attempt, which does not last: whoever reads this is told when the node's is. */
function reasonOf(cause: TunnelError): string {
  return cause instanceof NodeUnavailableError && cause.cause instanceof Error
    ? cause.cause.message
    : cause.message;
}
