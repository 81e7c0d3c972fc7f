import { unlessAborted } from '../../unless-aborted.js';

/** A lookup that is under way, for all who want to know the same. */
interface Asked<T> {
  readonly answer: Promise<T | undefined>;
  readonly giveUp: AbortController;
  waiting: number;
}

interface Known<T> {
  readonly value: T;
  /** By the clock of `performance.now()`. */
  readonly until: number;
}

/** How long answers are kept, and how many of them. */
export interface LookupCacheOptions {
  readonly cacheMs: number;
  readonly max: number;
}

/** Asks once for all who want to know the same at the same time, and for a short while not again. That there is nothing is not kept. */
export class LookupCache<T> {
  readonly #options: LookupCacheOptions;
  readonly #asked = new Map<string, Asked<T>>();
  /** In the order in which they grow old. */
  readonly #known = new Map<string, Known<T>>();

  constructor(options: LookupCacheOptions) {
    this.#options = options;
  }

  /**
   * @param ask - gets a signal that is aborted when nobody waits any more
   * @param waiter - its signal, which many make only when somebody wants it, is not looked at for what is known
   * @throws what `ask` throws; the reason of the signal, which gives up for this caller only
   */
  async get(
    key: string,
    ask: (signal: AbortSignal) => Promise<T | undefined>,
    waiter: { readonly signal?: AbortSignal | undefined },
  ): Promise<T | undefined> {
    const known = this.#known.get(key);
    if (known !== undefined && known.until > performance.now()) return known.value;
    const { signal } = waiter;
    signal?.throwIfAborted();
    const asked = this.#asked.get(key) ?? this.#ask(key, ask);
    asked.waiting += 1;
    try {
      return await unlessAborted(asked.answer, signal);
    } finally {
      asked.waiting -= 1;
      if (asked.waiting === 0 && this.#asked.get(key) === asked) {
        this.#asked.delete(key);
        asked.giveUp.abort();
      }
    }
  }

  /** Asks again next time. */
  forget(key: string): void {
    this.#known.delete(key);
  }

  #ask(key: string, ask: (signal: AbortSignal) => Promise<T | undefined>): Asked<T> {
    const giveUp = new AbortController();
    const answer = ask(giveUp.signal).then(
      (value) => {
        if (this.#end(key, asked) && value !== undefined) this.#keep(key, value);
        return value;
      },
      (error: unknown) => {
        this.#end(key, asked);
        throw error;
      },
    );
    const asked: Asked<T> = { answer, giveUp, waiting: 0 };
    this.#asked.set(key, asked);
    return asked;
  }

  /** Whether it was still wanted. */
  #end(key: string, asked: Asked<T>): boolean {
    return this.#asked.get(key) === asked && this.#asked.delete(key);
  }

  #keep(key: string, value: T): void {
    const { cacheMs, max } = this.#options;
    const now = performance.now();
    this.#known.delete(key);
    if (cacheMs > 0) this.#known.set(key, { value, until: now + cacheMs });
    for (const [oldest, { until }] of this.#known) {
      if (until > now && this.#known.size <= max) break;
      this.#known.delete(oldest);
    }
  }
}
