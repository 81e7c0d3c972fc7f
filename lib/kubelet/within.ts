import { listenForAbort } from '../abortable-signal.js';
import { KubeletTimeoutError } from './errors.js';
import type { KubeletAccess } from './kubelet-access.js';

/** What a call to a kubelet is given up by. */
interface Limits {
  readonly timeoutMs: number;
  /** The caller's. */
  readonly signal: AbortSignal | undefined;
  /** Whom it waits for, for a message. Default: the kubelet. */
  readonly who?: string | undefined;
  /** What that has not done when the time is over, such as `answer /pods`. */
  readonly what: string;
}

/**
 * Runs a call to a kubelet, which the signal that it gets ends early.
 *
 * @throws {@link KubeletTimeoutError}; the reason of the caller's signal; what the call throws
 */
export async function within<T>(
  { node, host, port }: KubeletAccess,
  { timeoutMs, signal, who = `the kubelet of ${node}`, what }: Limits,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const giveUp = new AbortController();
  const tooLate = (): void => {
    const problem = `${who} did not ${what} within ${timeoutMs} ms`;
    giveUp.abort(new KubeletTimeoutError(problem, { node, host, port }));
  };
  const onAbort = (): void => giveUp.abort(signal?.reason);
  const timer = setTimeout(tooLate, timeoutMs);
  if (signal !== undefined) listenForAbort(signal, onAbort);
  try {
    return await call(giveUp.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  }
}
