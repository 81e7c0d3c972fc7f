import type { Readable } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { reasonOf } from './api-request.js';
import type { TimeLimit } from './time-limit.js';

/** More than an API server takes for an object: etcd refuses requests above 1.5 MB. */
const MAX_LINE_LENGTH = 16 * 2 ** 20;

/**
 * The lines of a text stream; those that have arrived together as one array, so that a burst is dealt with at once. Waits for each
 * no longer than `silenceMs`.
 *
 * @throws if the stream fails, falls silent, or ends in the middle of a line
 */
export async function* linesOf(
  stream: Readable,
  limit: TimeLimit,
  silenceMs: number,
): AsyncGenerator<readonly string[]> {
  let rest = '';
  const wait = (): void => limit.begin(silenceMs, 'the watch of the nodes said nothing');
  try {
    wait();
    for await (const part of stream as AsyncIterable<string>) {
      // Whoever takes the lines may take long, and that is no silence.
      limit.pause();
      // The events of a burst come one by one, but in the same turn of the event loop.
      await turn();
      const lines = `${rest}${part}${(stream.read() as string | null) ?? ''}`.split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_LINE_LENGTH) throw new Error('a line has no end');
      if (lines.length > 0) yield lines;
      wait();
    }
  } catch (error) {
    throw reasonOf(error, limit.signal, 'the watch of the nodes broke off');
  }
  if (rest !== '') throw new Error('the watch of the nodes ended in the middle of a line');
}
