import type { Duplex } from 'node:stream';
import { closed } from './closed.js';
import { cutOff, leave, leaveBackend } from './leave.js';
import type { RequestBody } from './request-body.js';

const NOTHING = Buffer.alloc(0);

/** How often a client is looked at that is not being read: nothing else would tell that it is gone. */
const VIGIL_MS = 1000;

/**
 * Carries bytes between a client and its backend, both ways, with back-pressure and without a limit of time, until one of them ends; then it
 * ends the other, with all that has come for it. A backend that is cut cuts the client. Resolves when both are closed.
 *
 * @param requestBody - what the client sends before the stream begins
 */
export async function splice(client: Duplex, backend: Duplex, requestBody: RequestBody): Promise<void> {
  const bothClosed = closed(client, backend);
  let isOver = false;
  const vigil = setInterval(() => {
    if (client.isPaused() && !client.writableEnded) client.write(NOTHING);
  }, VIGIL_MS);
  /** Does what the first end asks for; what follows from that is no news. */
  const finish = (how: () => void): void => {
    if (isOver) return;
    isOver = true;
    clearInterval(vigil);
    requestBody.stop();
    client.unpipe(backend);
    backend.unpipe(client);
    how();
  };
  const leaveBoth = (): void => {
    leave(client);
    leaveBackend(backend);
  };
  backend.once('end', () => finish(leaveBoth));
  client.once('end', () => finish(leaveBoth));
  backend.once('close', () => finish(() => cutOff(client)));
  client.once('close', () => finish(() => backend.destroy()));
  backend.pipe(client, { end: false });
  void requestBody.sent.then(() => {
    if (!isOver) client.pipe(backend, { end: false });
  });
  // What has ended before has told so already.
  if (backend.destroyed) finish(() => cutOff(client));
  if (client.destroyed) finish(() => backend.destroy());
  await bothClosed;
}
