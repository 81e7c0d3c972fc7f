import { PassThrough, type Readable } from 'node:stream';

/** What a test prints cannot be held up; who lags that far behind hears no more. */
const MAX_UNHEARD_BYTES = 64 * 1024 * 1024;

/** Output that any number of listeners hear from now on; the slowest sets the pace. */
export class Broadcast {
  readonly #listeners = new Set<PassThrough>();
  readonly #full = new Set<PassThrough>();
  readonly #sources = new Set<Readable>();
  #isOver = false;

  /** All that is said from now on. Destroy it to stop listening. */
  listen(): Readable {
    const listener = new PassThrough();
    if (this.#isOver) return listener.end();
    this.#listeners.add(listener);
    const ready = (): void => {
      this.#full.delete(listener);
      if (this.#full.size > 0) return;
      for (const source of this.#sources) source.resume();
    };
    listener.on('drain', ready);
    listener.once('close', () => {
      this.#listeners.delete(listener);
      ready();
    });
    return listener;
  }

  say(bytes: Buffer): void {
    for (const listener of this.#listeners) {
      if (listener.writableLength > MAX_UNHEARD_BYTES) listener.destroy();
      else if (!listener.write(bytes)) this.#full.add(listener);
    }
  }

  /** Says what a source gives, as fast as it is heard. */
  sayFrom(source: Readable): void {
    this.#sources.add(source);
    source.on('data', (bytes: Buffer) => {
      this.say(bytes);
      if (this.#full.size > 0) source.pause();
    });
    source.once('close', () => this.#sources.delete(source));
  }

  end(): void {
    this.#isOver = true;
    for (const listener of this.#listeners) listener.end();
  }
}
