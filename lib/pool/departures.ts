import { addBytes, NO_BYTES, type ByteCounts } from '../ssh/byte-counts.js';
import type { Connection } from '../ssh/connection.js';

/** The connections of a node that take no more dials: they drain, then their sockets close, and what they carried stays counted. */
export class Departures {
  readonly #draining = new Set<Connection>();
  /** Sockets of connections that are over. */
  readonly #closingSockets = new Set<Promise<unknown>>();
  /** Carried by connections that are over. */
  #bytesOfOver = NO_BYTES;
  #onEmpty: (() => void) | undefined;

  /** Those that still carry streams. */
  get draining(): ReadonlySet<Connection> {
    return this.#draining;
  }

  get bytes(): ByteCounts {
    let bytes = this.#bytesOfOver;
    for (const connection of this.#draining) bytes = addBytes(bytes, connection.bytes);
    return bytes;
  }

  drain(connection: Connection): void {
    this.#draining.add(connection);
    connection.close();
  }

  /** A connection is over, whether it was draining or not. */
  over(connection: Connection): void {
    const { bytes, gone } = connection;
    this.#draining.delete(connection);
    this.#bytesOfOver = addBytes(this.#bytesOfOver, bytes);
    this.#closingSockets.add(gone);
    void gone.then(() => this.#closingSockets.delete(gone));
    if (this.#draining.size === 0) this.#onEmpty?.();
  }

  /** Resolves when those that drain have lost their last stream, and all sockets are closed. */
  async finished(): Promise<void> {
    if (this.#draining.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
    }
    await Promise.all(this.#closingSockets);
  }
}
