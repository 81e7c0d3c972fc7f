import { setMaxListeners } from 'node:events';

/** What the library uses of an `AbortSignal`. */
export type AbortableSignal = Pick<AbortSignal, 'aborted'> & {
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
};

/** Listens to a caller's signal. One for many operations, such as a shutdown's, is no leak for Node to warn of. */
export function listenForAbort(signal: AbortableSignal, listener: () => void): void {
  if (signal instanceof EventTarget) setMaxListeners(0, signal);
  signal.addEventListener('abort', listener);
}

/** An `AbortController` and its signal in one, at a fraction of the cost: a control plane makes one for each dial. */
export class AbortSource implements AbortableSignal {
  #listeners: Set<() => void> | undefined;
  #aborted = false;
  #reason: unknown;

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  /** Calls the listeners, once; what comes after the first time is ignored. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    for (const listener of this.#listeners ?? []) listener();
    this.#listeners = undefined;
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners ??= new Set();
    this.#listeners.add(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners?.delete(listener);
  }

  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }
}
