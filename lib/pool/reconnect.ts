import { isLasting, type TunnelError } from '../errors.js';
import { Backoff } from '../backoff.js';

export interface ReconnectOptions {
  /** Shortest wait between two attempts, in milliseconds. */
  readonly minMs: number;
  /** Longest wait between two attempts, in milliseconds. */
  readonly maxMs: number;
  /** A connection that has lived this long, in milliseconds, makes earlier failures forgotten. */
  readonly stableMs: number;
  /** Source of the jitter; from 0 up to 1. */
  readonly random?: () => number;
}

/** How old the last failure must be for a dial to make an attempt of its own, before its time. */
const EARLY_ATTEMPT_AFTER_MS = 1000;

/** Losses in a row that are replaced at once, before they count as failures: sshd may have been restarted under us. */
const FREE_REPLACEMENTS = 3;

/**
 * `clear`: an attempt may be made at any time; the node has been connected since then, or was never or no longer is.
 * `backing-off`: the next attempt has to wait. Times are of `performance.now()`.
 */
type State =
  | { readonly name: 'clear'; readonly connectedAtMs: number | undefined }
  | {
      readonly name: 'backing-off';
      readonly failure: TunnelError;
      readonly failedAtMs: number;
      readonly retryAtMs: number;
    };

/** Decides when a node may be tried again. */
export class Reconnect {
  readonly #options: ReconnectOptions;
  readonly #fresh: Backoff;
  #backoff: Backoff;
  #losses = 0;
  #lastLossAtMs = -Infinity;
  #state: State = { name: 'clear', connectedAtMs: undefined };

  constructor(options: ReconnectOptions) {
    this.#options = options;
    this.#fresh = Backoff.create({ minMs: options.minMs, maxMs: options.maxMs });
    this.#backoff = this.#fresh;
  }

  /** The failure that is being waited out. */
  get failure(): TunnelError | undefined {
    return this.#state.name === 'backing-off' ? this.#state.failure : undefined;
  }

  /** Milliseconds until the next attempt is due; 0 when it is. */
  get waitMs(): number {
    return this.#state.name === 'clear' ? 0 : Math.max(0, this.#state.retryAtMs - performance.now());
  }

  /**
   * Milliseconds until a dial may make an attempt: sooner than it is due when the last failure is old, except after a failure that trying
   * again does not mend.
   */
  get dialWaitMs(): number {
    const state = this.#state;
    if (state.name === 'clear' || isLasting(state.failure)) return this.waitMs;
    return Math.min(this.waitMs, Math.max(0, state.failedAtMs + EARLY_ATTEMPT_AFTER_MS - performance.now()));
  }

  /** Notes an attempt that failed. */
  failed(failure: TunnelError): void {
    this.#forgetIfStable();
    const random = this.#options.random ?? Math.random;
    this.#backoff = isLasting(failure) ? this.#backoff.slowest(random) : this.#backoff.next(random);
    const now = performance.now();
    this.#state = {
      name: 'backing-off',
      failure,
      failedAtMs: now,
      retryAtMs: now + this.#backoff.delayMs,
    };
  }

  /** Notes an attempt that succeeded. The failures before it are forgotten only when the connection lasts. */
  connected(): void {
    if (this.#state.name === 'clear' && this.#state.connectedAtMs !== undefined) return;
    this.#state = { name: 'clear', connectedAtMs: performance.now() };
  }

  /** Notes that what only a person can mend may have been mended: a failure of that kind is not waited out any more. */
  mended(): void {
    if (this.#state.name === 'backing-off' && isLasting(this.#state.failure)) this.retryNow();
  }

  /** Ends the wait for the next attempt. */
  retryNow(): void {
    if (this.#state.name !== 'backing-off') return;
    this.#state = { name: 'clear', connectedAtMs: undefined };
    this.#backoff = this.#fresh;
  }

  /** Notes the loss of a connection that had become ready at `readyAtMs`. Those that are lost together count as one loss. */
  lost(failure: TunnelError, readyAtMs: number): void {
    this.#forgetIfStable();
    if (this.#state.name === 'clear') this.#state = { name: 'clear', connectedAtMs: undefined };
    if (readyAtMs <= this.#lastLossAtMs) return;
    this.#lastLossAtMs = performance.now();
    this.#losses += 1;
    if (this.#losses > FREE_REPLACEMENTS) this.failed(failure);
  }

  #forgetIfStable(): void {
    const state = this.#state;
    if (state.name !== 'clear' || state.connectedAtMs === undefined) return;
    if (performance.now() - state.connectedAtMs < this.#options.stableMs) return;
    this.#backoff = this.#fresh;
    this.#losses = 0;
  }
}
