/**
 * Waits for a promise no longer than the signals allow. The promise goes on by itself.
 *
 * @throws the reason of the signal that fires first
 */
export function unlessAborted<T>(
  promise: Promise<T>,
  ...signals: readonly (AbortSignal | undefined)[]
): Promise<T> {
  return new Promise((resolve, reject) => {
    const listeners = signals.flatMap((signal) => {
      signal?.throwIfAborted();
      return signal === undefined
        ? []
        : { signal, onAbort: () => settle(() => reject(signal.reason as Error)) };
    });
    const settle = (finish: () => void): void => {
      for (const { signal, onAbort } of listeners) signal.removeEventListener('abort', onAbort);
      finish();
    };
    for (const { signal, onAbort } of listeners) signal.addEventListener('abort', onAbort, { once: true });
    promise.then(
      (value) => settle(() => resolve(value)),
      (error: unknown) => settle(() => reject(error)),
    );
  });
}
