import type { IncomingMessage } from 'node:http';
import { KubeletError } from './errors.js';
import type { KubeletAccess } from './kubelet-access.js';

/** What a kubelet says when it refuses takes a line; the API server reads as much. */
const MAX_REFUSAL_LENGTH = 50_000;

/** How long it may take to say it, in milliseconds, once it has begun: a log has no deadline of its own. */
const REFUSAL_MS = 5000;

/**
 * The error that an answer is. Whatever its body is, the status is told.
 *
 * @throws the signal's reason, if the request was given up meanwhile
 */
export async function refusalIn(
  response: IncomingMessage,
  { node, host, port }: KubeletAccess,
  signal: AbortSignal,
): Promise<KubeletError> {
  const text = await beginningOf(response);
  signal.throwIfAborted();
  return new KubeletError(response.statusCode ?? 0, text, { node, host, port });
}

async function beginningOf(response: IncomingMessage): Promise<string> {
  let text = '';
  const timer = setTimeout(() => response.destroy(), REFUSAL_MS);
  try {
    for await (const part of response.setEncoding('utf8')) {
      text += part as string;
      if (text.length >= MAX_REFUSAL_LENGTH) break;
    }
  } catch {
    // What there is of it is better than nothing.
  } finally {
    clearTimeout(timer);
  }
  return text;
}
