import type { UpgradeExchange } from '../exchange.js';

/** How long a client says nothing before the kernel asks whether its machine is still there. */
const KEEPALIVE_MS = 30_000;

/** Readies a client's connection for a stream without a limit of time. What came early is put back. */
export function prepare({ request, socket, head }: UpgradeExchange): void {
  socket.on('error', () => undefined); // 'close' follows
  // The server's limits are for requests. A client whose machine has gone is found out by the kernel.
  request.socket.setTimeout(0);
  request.socket.setNoDelay(true);
  request.socket.setKeepAlive(true, KEEPALIVE_MS);
  if (head.length > 0) socket.unshift(head);
  // What comes stays in the stream for now; but unless it is being read, nothing tells that the client has gone.
  socket.read(0);
}
