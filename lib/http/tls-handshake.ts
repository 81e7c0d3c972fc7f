import { isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { TlsHandshakeTimeoutError } from './errors.js';
import type { PendingSocket } from './pending-socket.js';

export const TLS_HANDSHAKE_TIMEOUT_MS = 10_000;

/** Destroys a TLS socket whose handshake takes longer from now on: Node has no deadline for a client's. */
export function limitHandshake(
  socket: TLSSocket,
  { node, remoteAddress: host, remotePort: port }: PendingSocket,
  timeoutMs: number,
): void {
  const timer = setTimeout(() => {
    const problem = `did not finish the TLS handshake within ${timeoutMs} ms: does it speak TLS?`;
    const message = `${String(host)}:${String(port)} ${problem}`;
    socket.destroy(new TlsHandshakeTimeoutError(message, { node, host, port }));
  }, timeoutMs);
  const stop = (): void => clearTimeout(timer);
  socket.once('secureConnect', stop).once('close', stop);
}

/** The name to ask for: none for an IP address (RFC 6066 §3), which is verified all the same. */
export function serverNameOf(host: string | null | undefined): string {
  return host === null || host === undefined || isIP(host) !== 0 ? '' : host;
}
