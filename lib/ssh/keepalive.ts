export interface KeepaliveOptions {
  /** Silence after which a probe is sent. */
  intervalMs: number;
  /** Unanswered probes after which the connection is dead. */
  countMax: number;
  /** Sends something that the peer has to answer. */
  probe: () => void;
  /** Sends something that the peer has to answer, to see how far it has read. */
  mark: () => void;
  /**
   * Calls back when what was sent has come as far as we can tell, if something carries the connection that may have much to carry. Until
   * then a probe does not count as unanswered.
   */
  whenCarried?: ((done: () => void) => void) | undefined;
  /** Called once, `intervalMs × (countMax + 1)` after the last byte. */
  onDead: () => void;
}

/**
 * Bytes sent after which the peer is asked for an answer. The kernel takes megabytes that a slow link carries for minutes; a probe stands
 * behind them, and a peer that merely reads has nothing to say. At 70 kbit/s an answer still comes within the default 30 s.
 */
const MARK_BYTES = 256 * 1024;

/**
 * Liveness of a connection. Any received byte counts as life, so a link full of data is never taken for a dead one, and a busy connection
 * sends no probes (ssh2's own keepalive counts replies only, mscdex/ssh2#474).
 */
export class Keepalive {
  readonly #options: KeepaliveOptions;
  #lastHeardAt = performance.now();
  #lastProbedAt = 0;
  #unanswered = 0;
  /** Probes that have not been carried yet. */
  #inTransit = 0;
  #markedBytes = 0;
  #timer: NodeJS.Timeout;

  constructor(options: KeepaliveOptions) {
    this.#options = options;
    this.#timer = this.#schedule(options.intervalMs);
  }

  /** Notes that bytes have arrived. */
  heard(): void {
    this.#lastHeardAt = performance.now();
  }

  /** Notes how many bytes have been sent in all. */
  sent(totalBytes: number): void {
    if (totalBytes - this.#markedBytes < MARK_BYTES) return;
    this.#markedBytes = totalBytes;
    this.#options.mark();
  }

  /** Asks for a sign of life without waiting for silence, unless one has been asked for since the last. */
  probeNow(): void {
    if (this.#lastProbedAt > this.#lastHeardAt) return;
    this.#probe();
    clearTimeout(this.#timer);
    this.#timer = this.#schedule(this.#options.intervalMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #schedule(delayMs: number): NodeJS.Timeout {
    return setTimeout(() => this.#check(), delayMs).unref();
  }

  #probe(): void {
    this.#unanswered = this.#lastProbedAt > this.#lastHeardAt ? this.#unanswered + 1 : 1;
    this.#lastProbedAt = performance.now();
    this.#options.probe();
    const { whenCarried } = this.#options;
    if (whenCarried === undefined) return;
    this.#inTransit += 1;
    whenCarried(() => {
      this.#inTransit -= 1;
    });
  }

  /** Counts probes and not time: after our own process has slept, the answers may still lie unread in the kernel. */
  #check(): void {
    const { intervalMs, countMax, onDead } = this.#options;
    const silentMs = performance.now() - this.#lastHeardAt;
    if (silentMs < intervalMs) {
      this.#timer = this.#schedule(Math.ceil(intervalMs - silentMs));
      return;
    }
    if (this.#inTransit > 0) {
      this.#timer = this.#schedule(intervalMs);
      return;
    }
    const unanswered = this.#lastProbedAt > this.#lastHeardAt ? this.#unanswered : 0;
    if (unanswered >= countMax) {
      onDead();
      return;
    }
    this.#probe();
    this.#timer = this.#schedule(intervalMs);
  }
}
