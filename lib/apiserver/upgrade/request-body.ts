import type { IncomingMessage } from 'node:http';
import type { Duplex, Readable } from 'node:stream';

/**
 * Sends so many of the bytes that come from the client, and leaves the others unread: until the backend has said that it goes on in another
 * protocol they might be a request that nobody has allowed.
 */
export class RequestBody {
  /** Fulfilled when all of them are sent; never, when either side ends before, or it was stopped. */
  readonly sent: Promise<void>;
  readonly #from: Readable;
  readonly #backend: Duplex;
  readonly #onProgress: () => void;
  readonly #move = (): void => this.#moveOn();
  #left: number;
  #done: () => void = () => undefined;

  constructor(from: Readable, backend: Duplex, bytes: number, onProgress: () => void) {
    this.#from = from;
    this.#backend = backend;
    this.#left = bytes;
    this.#onProgress = onProgress;
    this.sent = new Promise((resolve) => (this.#done = resolve));
    from.on('readable', this.#move);
    backend.on('drain', this.#move);
    this.#moveOn();
  }

  /** Sends no more. What comes from the client is anybody's then. */
  stop(): void {
    this.#from.off('readable', this.#move);
    this.#backend.off('drain', this.#move);
  }

  #moveOn(): void {
    const [from, backend] = [this.#from, this.#backend];
    while (this.#left > 0 && !backend.writableNeedDrain && !backend.destroyed) {
      const chunk = from.read(Math.min(this.#left, from.readableLength)) as Buffer | null;
      if (chunk === null) return;
      this.#left -= chunk.length;
      backend.write(chunk);
      this.#onProgress();
    }
    if (this.#left > 0) return;
    this.stop();
    this.#done();
  }
}

/** Where the body of an upgrade request is read: some versions of Node leave it in front of the stream, others parse it. */
export function bodySource(request: IncomingMessage, socket: Duplex): Readable {
  return request.complete && request.readableLength === 0 ? socket : request;
}
