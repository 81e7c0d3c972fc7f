import { milliseconds } from './validation.js';

/** Bounds of a back-off. */
export interface BackoffOptions {
  /** Shortest wait between two attempts, in milliseconds. Default: 250. */
  minMs?: number | undefined;
  /** Longest wait between two attempts, in milliseconds. Default: 30 000. */
  maxMs?: number | undefined;
}

/**
 * How long to wait after a row of failures. It is immutable: to start anew, go back to the first value.
 *
 * Exponential with full jitter: after each failure the ceiling doubles and the wait is drawn evenly from
 * below it (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015,
 * https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). Unlike there no wait is shorter
 * than `minMs`: a draw near zero would only spend one of sshd's MaxStartups.
 */
export class Backoff {
  /** Wait before the next attempt, in whole milliseconds; 0 before the first failure. */
  readonly delayMs: number;
  readonly #minMs: number;
  readonly #maxMs: number;
  readonly #ceilingMs: number;

  private constructor(minMs: number, maxMs: number, ceilingMs: number, delayMs: number) {
    this.#minMs = minMs;
    this.#maxMs = maxMs;
    this.#ceilingMs = ceilingMs;
    this.delayMs = delayMs;
  }

  /**
   * The state before any failure.
   *
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  static create({ minMs = 250, maxMs = 30_000 }: BackoffOptions = {}): Backoff {
    const min = milliseconds(1)(minMs, 'reconnect.minMs');
    const max = milliseconds(min)(maxMs, 'reconnect.maxMs');
    return new Backoff(min, max, min, 0);
  }

  /** The state after one more failure: a wait from `minMs` up to twice the last ceiling, at most `maxMs`. */
  next(random: () => number = Math.random): Backoff {
    const ceilingMs = Math.min(this.#maxMs, this.#ceilingMs * 2);
    return this.#after(ceilingMs, between(this.#minMs, ceilingMs, random));
  }

  /**
   * The state after a failure that trying again does not mend, such as authentication or a host key: a wait
   * in the upper half of `maxMs`. Still drawn, because all nodes of a fleet refuse a wrong key together.
   */
  slowest(random: () => number = Math.random): Backoff {
    const least = Math.max(this.#minMs, Math.ceil(this.#maxMs / 2));
    return this.#after(this.#maxMs, between(least, this.#maxMs, random));
  }

  #after(ceilingMs: number, delayMs: number): Backoff {
    return new Backoff(this.#minMs, this.#maxMs, ceilingMs, delayMs);
  }
}

function between(min: number, max: number, random: () => number): number {
  const drawn = random();
  // A broken generator must not turn into NaN, which `setTimeout` takes for 1 ms.
  const share = Number.isNaN(drawn) ? 1 : Math.min(1, Math.max(0, drawn));
  return Math.round(min + share * (max - min));
}
