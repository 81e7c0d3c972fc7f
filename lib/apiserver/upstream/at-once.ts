import { tooManyRequests } from '../capacity.js';

/** How many may do something at once, and how many may wait for that. */
export interface AtOnceLimits {
  readonly max: number;
  readonly maxWaiting: number;
}

/** Lets so many do something at once; the others wait, in the order in which they came, and only so many of them. */
export class AtOnce {
  readonly #limits: AtOnceLimits;
  #underWay = 0;
  readonly #waiting = new Set<() => void>();

  constructor(limits: AtOnceLimits) {
    this.#limits = limits;
  }

  /** @throws {@link StatusError} 429 when too many wait; the reason of the signal, if it fires while it waits; what `act` throws */
  async run<T>(act: () => Promise<T>, signal: AbortSignal): Promise<T> {
    signal.throwIfAborted();
    if (this.#underWay < this.#limits.max) this.#underWay += 1;
    else await this.#turn(signal);
    try {
      return await act();
    } finally {
      this.#handOver();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    if (this.#waiting.size >= this.#limits.maxWaiting) throw tooManyRequests();
    return new Promise((resolve, reject) => {
      const onTurn = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.delete(onTurn);
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(onTurn);
    });
  }

  /** The place goes straight to the first who waits: a newcomer cannot take it in between. */
  #handOver(): void {
    const [next] = this.#waiting;
    if (next === undefined) this.#underWay -= 1;
    else {
      this.#waiting.delete(next);
      next();
    }
  }
}
