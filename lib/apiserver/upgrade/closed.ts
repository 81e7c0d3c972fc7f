import type { Duplex } from 'node:stream';

/** Fulfilled when nothing is left of any of them. */
export async function closed(...streams: readonly Duplex[]): Promise<void> {
  await Promise.all(
    streams.map(
      (stream) =>
        new Promise<void>((resolve) => {
          if (stream.closed) resolve();
          else stream.once('close', resolve);
        }),
    ),
  );
}
