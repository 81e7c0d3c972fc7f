import { ClosedError, TransportError, formatEndpoint, type TunnelError } from '../errors.js';
import { withPrintableText } from './failures.js';

/** A stream, or one that was to be, by what it leads to and through which node. */
interface StreamPlace {
  readonly node: string;
  readonly host: string;
  readonly port: number;
}

/** The connection is over though nobody wanted it to be. */
export function lostError(node: string, reason: Error): TransportError {
  const cause = withPrintableText(reason);
  return new TransportError('ERR_TUNNEL_LOST', `the connection to ${node} was lost: ${cause.message}`, {
    node,
    cause,
  });
}

/** The connection is over, or about to be, because it was closed on purpose. */
export const closedError = (node: string): ClosedError =>
  new ClosedError(`the connection to ${node} was closed`, { node });

/** No channel was opened, because the connection is over; `cause` is why, if it was not closed on purpose. */
export function unopenedError(
  { node, host, port }: StreamPlace,
  cause: TunnelError | undefined,
): TunnelError {
  const why = cause === undefined ? '' : `: ${cause.message}`;
  return new TransportError(
    'ERR_TUNNEL_LOST',
    `no channel to ${formatEndpoint(host, port)} through ${node}${why}`,
    { node, host, port, cause },
  );
}

/** A stream is over with its connection; `cause` is why, if that was not closed on purpose. */
export function streamError({ node, host, port }: StreamPlace, cause: TunnelError | undefined): TunnelError {
  const stream = `the stream to ${formatEndpoint(host, port)}`;
  const context = { node, host, port, cause };
  if (cause === undefined) return new ClosedError(`${stream} was closed with its connection`, context);
  return new TransportError('ECONNRESET', `${stream} was cut: ${cause.message}`, context);
}
