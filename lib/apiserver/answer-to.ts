import type { ClientRequest, IncomingMessage } from 'node:http';

/** Sends a request, and resolves with its answer when that has begun. The signal gives up both. */
export function answerTo(
  request: ClientRequest,
  body: string | undefined,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const onAbort = (): void => void request.destroy(new Error('given up'));
  signal.addEventListener('abort', onAbort);
  request.once('close', () => signal.removeEventListener('abort', onAbort));
  if (signal.aborted) onAbort();
  return new Promise((resolve, reject) => {
    // It stays: what happens later happens to the answer, too.
    request.once('response', resolve).on('error', reject);
    // An upgrade that nobody asked for is closed by Node, which tells nothing else of it.
    request.once('close', () => reject(new Error('it switched to another protocol in place of an answer')));
    request.end(body);
  });
}
