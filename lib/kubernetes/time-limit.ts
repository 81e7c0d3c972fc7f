/** Gives an operation up when a wait in it takes too long, or when a signal is aborted. */
export class TimeLimit {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #onAbort = (): void => this.#controller.abort(this.#outer.reason);
  #timer: NodeJS.Timeout | undefined;

  constructor(outer: AbortSignal) {
    this.#outer = outer;
    if (outer.aborted) this.#onAbort();
    else outer.addEventListener('abort', this.#onAbort);
  }

  /** For the operation. Its reason is an error that says what took too long, or the reason of the outer signal. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Begins a wait in place of the one that was under way. */
  begin(ms: number, problem: string): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller.abort(new Error(`${problem} within ${ms} ms`)), ms);
  }

  /** The wait is over; nothing is waited for until the next one begins. */
  pause(): void {
    clearTimeout(this.#timer);
  }

  /** The operation is over. */
  end(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#onAbort);
  }
}
