import { Readable } from 'node:stream';
import { ownMemory } from '../own-memory.js';

const HIGH_WATER_MARK_BYTES = 64 * 1024;

export interface OutputEvents {
  /** Whether it takes more; told when that changes. */
  onFull(full: boolean): void;
  /** Destroyed by its reader, with an error or not. */
  onGone(error: Error | null): void;
}

/** What a command prints, as a stream that says when it is full. */
export class Output extends Readable {
  readonly #events: OutputEvents;
  #full = false;

  /** @internal */
  constructor(events: OutputEvents) {
    super({ highWaterMark: HIGH_WATER_MARK_BYTES });
    this.#events = events;
    // Its failure is the process's, which `exit` tells; whoever reads is told all the same.
    this.on('error', () => undefined);
  }

  /** What a reader that has gone does not want is dropped, as everything would be by /dev/null. */
  receive(data: Buffer): void {
    if (!this.destroyed && !this.push(ownMemory(data))) this.#setFull(true);
  }

  override _read(): void {
    this.#setFull(false);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#setFull(false);
    if (!this.readableEnded) this.#events.onGone(error);
    callback(error);
  }

  #setFull(full: boolean): void {
    if (this.#full === full) return;
    this.#full = full;
    this.#events.onFull(full);
  }
}
