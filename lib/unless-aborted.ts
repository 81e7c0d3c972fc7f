import type { AbortableSignal } from './abortable-signal.js';

/**
 * Waits for a promise no longer than the signals allow. The promise goes on by itself, and how it ends is nobody's concern then.
 *
 * @throws the reason of the signal that fires first
 */
export function unlessAborted<T>(
  promise: Promise<T>,
  ...signals: readonly (AbortableSignal | undefined)[]
): Promise<T> {
  return new Promise((resolve, reject) => {
    const listeners = signals.flatMap((signal) => {
      if (signal?.aborted === true) {
        promise.catch(() => undefined);
        throw signal.reason;
      }
      return signal === undefined ? [] : { signal, onAbort: () => settle(() => reject(signal.reason)) };
    });
    const settle = (finish: () => void): void => {
      for (const { signal, onAbort } of listeners) signal.removeEventListener('abort', onAbort);
      finish();
    };
    for (const { signal, onAbort } of listeners) signal.addEventListener('abort', onAbort);
    promise.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
