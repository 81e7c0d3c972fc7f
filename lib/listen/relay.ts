import type { Socket } from 'node:net';
import type { TunnelSocket } from '../dialer.js';
import { EndpointError } from '../errors.js';
import { reset } from './reset.js';

const NOTHING = Buffer.alloc(0);

/** How often a client is looked at of which nothing else would tell that it is gone. */
const VIGIL_MS = 1000;

/**
 * Carries bytes between a client and its stream, both ways, with back-pressure and half-close. A stream that is cut resets the client;
 * a client that is gone destroys the stream at once. What one side ended cleanly, the other side gets in full.
 *
 * @param isTcp - whether the client is connected by TCP
 */
export function relay(client: Socket, tunnel: TunnelSocket, isTcp: boolean): void {
  client.pipe(tunnel, { end: false });
  tunnel.pipe(client);

  client.once('end', () => {
    // A reset that comes while nobody reads is taken by libuv for an end, but the next write fails. On a UNIX socket it fails after a
    // clean end as well.
    if (isTcp && !client.writableEnded) client.write(NOTHING);
    setImmediate(() => {
      if (!client.errored) tunnel.end();
    });
  });
  // It cannot be told from a client that has ended its side only, but by a write. That it is gone must not cost it what it has sent.
  const mayBeGone = (): boolean =>
    isTcp ? client.isPaused() : client.readableEnded && tunnel.writableFinished;
  const vigil = setInterval(() => {
    if (mayBeGone() && !client.writableEnded) client.write(NOTHING);
  }, VIGIL_MS);
  client.once('close', () => {
    clearInterval(vigil);
    const endedCleanly = client.readableEnded && client.writableFinished && !client.errored;
    if (!endedCleanly) tunnel.destroy();
  });

  tunnel.once('error', (error) => {
    // The answer is complete, but the endpoint takes no more: as a direct connection would, and after the answer.
    if (tunnel.readableEnded && error instanceof EndpointError) client.destroySoon();
    else reset(client, isTcp);
  });
  tunnel.once('close', () => {
    if (!tunnel.readableEnded) reset(client, isTcp);
  });
}
