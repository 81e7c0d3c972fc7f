import { Backoff } from '../backoff.js';
import { ClosedError, InvalidOptionError } from '../errors.js';
import { KubeletCertificateError, KubeletError } from './errors.js';
import type { Resume } from './log-options.js';

/** A kubelet that has just started knows no pods, and perhaps no users, yet. */
const MAX_REFUSALS = 5;

/** How often, and for how long, a log is asked for again that was cut. */
export class Patience {
  readonly #options: Resume;
  readonly #now: () => number;
  #backoff: Backoff;
  #refusals = 0;
  /** When the kubelet was first asked in vain. */
  #since: number | undefined;
  /** When a log was cut last that had gone on. */
  #cutAt = -Infinity;

  constructor(options: Resume, now: () => number = () => performance.now()) {
    this.#options = options;
    this.#now = now;
    this.#backoff = this.#fresh();
  }

  /**
   * How long to wait before the kubelet is asked again, in milliseconds; `undefined` if it is not.
   *
   * @param wasAlive - whether the log went on before this failure
   */
  after(failure: unknown, wasAlive: boolean): number | undefined {
    if (failure instanceof ClosedError || failure instanceof InvalidOptionError) return undefined;
    const now = this.#now();
    if (wasAlive) {
      this.#backoff = this.#fresh();
      this.#refusals = 0;
      this.#since = undefined;
      // One that cuts after every byte is not to be dialled as fast as it can do so.
      const isOften = now - this.#cutAt < this.#options.retryMinMs;
      this.#cutAt = now;
      return isOften ? this.#options.retryMinMs : 0;
    }
    this.#since ??= now;
    const leftMs = this.#since + this.#options.giveUpMs - now;
    if (isRefusal(failure)) this.#refusals += 1;
    if (leftMs <= 0 || this.#refusals > MAX_REFUSALS) return undefined;
    this.#backoff = this.#backoff.next();
    return Math.min(this.#backoff.delayMs, leftMs);
  }

  #fresh(): Backoff {
    const { retryMinMs: minMs, retryMaxMs: maxMs } = this.#options;
    return Backoff.create({ minMs, maxMs });
  }
}

/** What asking again seldom mends. */
function isRefusal(failure: unknown): boolean {
  if (failure instanceof KubeletCertificateError) return true;
  return failure instanceof KubeletError && failure.status < 500;
}
