import { CHANNEL } from './frames.js';
import type { Wire } from './wire.js';

/** Sends sizes one after the other; of those that come meanwhile, the last. */
export class PendingResize {
  readonly #wire: Wire;
  #isSending = false;
  #next: Buffer | undefined;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** As client-go's TerminalSize (tools/remotecommand/resize.go) is in JSON. */
  send(columns: number, rows: number): void {
    this.#next = Buffer.from(JSON.stringify({ Width: columns, Height: rows }));
    this.#sendNext();
  }

  #sendNext(): void {
    const size = this.#next;
    if (this.#isSending || size === undefined) return;
    this.#next = undefined;
    this.#isSending = true;
    this.#wire.send(CHANNEL.resize, [size], () => {
      this.#isSending = false;
      this.#sendNext();
    });
  }
}
