/** What the gate has to know of the connection. */
export interface GateSignals {
  /** Whether the connection can take more without queueing it in our process. */
  canWrite(): boolean;
  /** Calls back when everything written so far has left our process; not at all when the connection is lost before. */
  whenFlushed(done: () => void): void;
  /** Called after each turn. */
  onSent(): void;
}

/**
 * Decides when a channel may put data on its connection: in turn, and only while little waits in our process.
 * ssh2 ignores the socket's back-pressure; without the gate a big upload on a slow link delays its siblings' bytes by seconds.
 */
export class WriteGate {
  readonly #signals: GateSignals;
  readonly #waiting = new Set<() => void>();

  constructor(signals: GateSignals) {
    this.#signals = signals;
  }

  /** Runs `send` now, or later in its turn. */
  pass(send: () => void): void {
    if (this.#waiting.size === 0 && this.#signals.canWrite()) this.#run(send);
    else this.#waiting.add(send);
  }

  /** Calls back when everything written so far has left our process; not at all when the connection is lost before. */
  whenFlushed(done: () => void): void {
    this.#signals.whenFlushed(done);
  }

  /** Gives up a turn that has not come. */
  cancel(send: () => void): void {
    this.#waiting.delete(send);
  }

  /** Lets those who wait go on, as far as the connection takes it. */
  open(): void {
    for (const send of this.#waiting) {
      if (!this.#signals.canWrite()) return;
      this.#waiting.delete(send);
      this.#run(send);
    }
  }

  #run(send: () => void): void {
    send();
    this.#signals.onSent();
  }
}
