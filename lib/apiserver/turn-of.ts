import { ServerResponse } from 'node:http';
import type { Exchange } from './exchange.js';

/**
 * Waits until nothing is left to be answered before it on the same connection (RFC 9112 §9.3.2): only then does Node tell that a client is gone.
 * One connection has one request at a time that something is done for.
 */
export async function turnOf({ request, response }: Exchange): Promise<void> {
  if (!(response instanceof ServerResponse) || response.socket !== null || request.destroyed) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('socket', done);
      request.off('close', done);
      resolve();
    };
    response.once('socket', done);
    request.once('close', done);
  });
}

/** Whether nobody is left to be answered. A response whose turn has not come does not tell itself. */
export function isGone({ request, response }: Exchange): boolean {
  return response instanceof ServerResponse ? request.socket.destroyed : response.stream.destroyed;
}
