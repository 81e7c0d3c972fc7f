import type { AbortableSignal } from '../abortable-signal.js';
import { integer } from '../validation.js';

/** One place taken in a {@link Semaphore}. */
export interface Permit extends Disposable {
  /** Gives the place back; only the first call counts. */
  readonly release: () => void;
}

type Grant = (permit: Permit) => void;

/** A bound on how many do something at once; those above it wait in the order in which they came. */
export class Semaphore {
  #available: number;
  readonly #waiters = new Set<Grant>();

  /**
   * @param limit - how many permits there are, at least 1
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  constructor(limit: number) {
    this.#available = integer(1, Number.MAX_SAFE_INTEGER)(limit, 'limit');
  }

  /** Permits that nobody holds. */
  get available(): number {
    return this.#available;
  }

  /** How many wait for a permit. */
  get pending(): number {
    return this.#waiters.size;
  }

  /**
   * Takes a permit, or waits for one.
   *
   * A signal that fires once the permit has been granted changes nothing: the permit is the caller's to release.
   *
   * @throws the signal's reason, if it fires first
   */
  acquire(signal?: AbortableSignal): Promise<Permit> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) throw signal.reason;
      if (this.#available > 0) {
        this.#available -= 1;
        resolve(this.#permit());
        return;
      }
      const grant: Grant = (permit) => {
        signal?.removeEventListener('abort', onAbort);
        resolve(permit);
      };
      const onAbort = (): void => {
        signal?.removeEventListener('abort', onAbort);
        this.#waiters.delete(grant);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', onAbort);
      this.#waiters.add(grant);
    });
  }

  #permit(): Permit {
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      this.#handOver();
    };
    return { release, [Symbol.dispose]: release };
  }

  /** The place goes straight to the first waiter: a newcomer cannot take it in between. */
  #handOver(): void {
    const [grant] = this.#waiters;
    if (grant === undefined) {
      this.#available += 1;
    } else {
      this.#waiters.delete(grant);
      grant(this.#permit());
    }
  }
}
