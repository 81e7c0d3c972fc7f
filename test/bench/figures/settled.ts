import { setTimeout as delay } from 'node:timers/promises';
import type { Duplex } from 'node:stream';

/** Who has not come to an end by then does not: a contender's fault, which is not what is measured. */
const LIMIT_MS = 5000;

/** Resolves when the work has come to an end, well or not; after 5 s even so. */
export async function settled(work: Promise<unknown>): Promise<void> {
  const limit = new AbortController();
  const outOfTime = delay(LIMIT_MS, undefined, { signal: limit.signal, ref: false });
  await Promise.allSettled([Promise.race([work, outOfTime])]);
  limit.abort();
  await Promise.allSettled([outOfTime]);
}

/** Destroys streams, and resolves when they are closed, so that what their end takes does not fall on who is measured next. */
export function destroyAll(streams: readonly Duplex[]): Promise<void> {
  const closed = streams.map(
    (stream) =>
      new Promise((resolve) => {
        stream.once('close', resolve);
        stream.destroy();
        if (stream.closed) resolve(undefined);
      }),
  );
  return settled(Promise.all(closed));
}
