import { once } from 'node:events';

/** Waits for whoever ends the command. @throws the signal's reason */
export async function untilStopped(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) {
    // Nothing else may be left to do.
    const stay = setInterval(() => undefined, 2 ** 30);
    await once(signal, 'abort');
    clearInterval(stay);
  }
  throw signal.reason;
}
