import type { Duplex } from 'node:stream';

/** A stream on which one thing at a time is asked and answered. Whatever arrives is read as it comes. */
export class Conversation {
  readonly #stream: Duplex;
  #left = 0;
  #resolve: (() => void) | undefined;
  #reject: ((error: Error) => void) | undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream
      .on('data', (chunk: Buffer) => this.#receive(chunk.length))
      .on('error', (error) => this.#reject?.(error))
      .on('end', () => this.#reject?.(new Error(`the stream ended ${this.#left} bytes too early`)));
  }

  /**
   * Resolves when `bytes` more have arrived.
   *
   * @throws the stream's error, or one of ours if it ends before
   */
  answer(bytes: number): Promise<void> {
    this.#left = bytes;
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Sends one byte and waits for an answer of `bytes`. */
  ask(bytes: number): Promise<void> {
    const answered = this.answer(bytes);
    this.#stream.write('?');
    return answered;
  }

  #receive(bytes: number): void {
    this.#left -= bytes;
    if (this.#left <= 0) this.#resolve?.();
  }
}
