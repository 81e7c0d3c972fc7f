import type { Socket } from 'node:net';

/**
 * Ends a client's connection so that it cannot be taken for a clean end: by RST. A UNIX socket has none: there it is closed.
 */
export function reset(client: Socket, isTcp: boolean): void {
  if (client.destroyed) return;
  // While FIN is on its way out libuv refuses to reset, and Node then forgets the socket open. All data has left by then.
  const isEnding = client.writableEnded && !client.writableFinished && client.writableLength === 0;
  if (isTcp && !isEnding) client.resetAndDestroy();
  else client.destroy();
}
