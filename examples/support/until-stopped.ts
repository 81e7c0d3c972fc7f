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

/** How a command ends that goes on until it is stopped: with exit code 0, but only as a demo that is not to stay. */
export async function endOrStay(
  line: { flag(option: 'demo' | 'stay'): boolean },
  signal: AbortSignal,
): Promise<number> {
  return line.flag('demo') && !line.flag('stay') ? 0 : untilStopped(signal);
}
