import type { TLSSocket } from 'node:tls';
import type { PendingSocket } from './pending-socket.js';

/**
 * Starts TLS over a stream so that all of it can be read that came before its end. Node's TLS drops what nobody has read yet when its stream
 * closes, which one does that ends by itself as soon as the endpoint has ended; so this is left to TLS, which ends when its user has read.
 *
 * @param start - has Node start TLS over the stream
 */
export function startTls(stream: PendingSocket, start: () => TLSSocket): TLSSocket {
  const { allowHalfOpen } = stream;
  stream.allowHalfOpen = true;
  // Of what nobody reads, as of a socket of `node:net`; but the dialer's `close()` need not wait for it.
  stream.once('end', () => stream.unref());
  const socket = start();
  socket.allowHalfOpen = allowHalfOpen;
  return socket;
}
