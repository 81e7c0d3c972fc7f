import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

/** How long a client may take to end its side when we have ended ours. */
const LINGER_MS = 30_000;

/** How long somebody may take to take what is left for them when nobody is interested in them any more. */
const FLUSH_MS = 10_000;

/**
 * Ends a client's connection with everything that was written to it, however slowly it reads. What it still sends is thrown away until it
 * ends, too: a connection that is closed before resets it, and what has not left the machine is lost.
 */
export function leave(client: Duplex): void {
  let timer: NodeJS.Timeout | undefined;
  client.once('close', () => clearTimeout(timer));
  client.resume();
  client.end();
  const finished = (): void => {
    if (client.readableEnded) client.destroy();
    else if (!client.destroyed) timer = setTimeout(() => client.destroy(), LINGER_MS);
  };
  if (client.writableFinished) finished();
  else client.once('finish', finished);
  client.once('end', () => {
    if (client.writableFinished) client.destroy();
  });
}

/** Ends a backend's connection with what was written to it, unless it takes too long to take that. */
export function leaveBackend(backend: Duplex): void {
  const timer = setTimeout(() => backend.destroy(), FLUSH_MS);
  backend.once('close', () => clearTimeout(timer));
  backend.resume();
  backend.end();
  if (backend.writableFinished) backend.destroy();
  else backend.once('finish', () => backend.destroy());
}

/** Ends a client's connection, so that it cannot be taken for a clean end, behind what was written to it. */
export function cutOff(client: Duplex): void {
  if (client.destroyed) return;
  if (client.writableLength === 0 || client.writableEnded) {
    reset(client);
    return;
  }
  const timer = setTimeout(() => reset(client), FLUSH_MS);
  client.once('close', () => clearTimeout(timer));
  client.resume();
  client.write(NOTHING, () => reset(client));
}

const NOTHING = Buffer.alloc(0);

/** By RST; TLS by an end without `close_notify`, which is none (RFC 8446 §6.1). */
export function reset(client: Duplex): void {
  if (client.destroyed) return;
  // While FIN is on its way out libuv refuses to reset, and Node then forgets the socket open. All data has left by then.
  const isEnding = client.writableEnded && !client.writableFinished && client.writableLength === 0;
  const isTcp =
    client instanceof Socket && !(client instanceof TLSSocket) && client.remoteAddress !== undefined;
  if (isTcp && !isEnding) client.resetAndDestroy();
  else client.destroy();
}
