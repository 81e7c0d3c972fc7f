import { Writable } from 'node:stream';
import { InvalidOptionError } from '../../errors.js';

const HIGH_WATER_MARK_BYTES = 64 * 1024;

type WriteCallback = (error?: Error | null) => void;

export interface InputTarget {
  /** Calls back when it has left the process; when it could not, the input is destroyed instead. */
  send(chunks: readonly Buffer[], callback: () => void): void;
  /** Tells the command that nothing more comes. */
  end(callback: WriteCallback): void;
  /** Destroyed before its end: what the command got is not all there is. */
  onGone(error: Error | null): void;
}

/** What a command reads. */
export class Input extends Writable {
  readonly #target: InputTarget;
  /** Of the write, or the end of writing, that is under way. */
  #inFlight: WriteCallback | undefined;

  /** @internal */
  constructor(target: InputTarget) {
    super({ highWaterMark: HIGH_WATER_MARK_BYTES });
    this.#target = target;
    // Its failure is the process's, which `exit` tells; whoever writes is told all the same.
    this.on('error', () => undefined);
  }

  /** The command has ended. Writes that it was not sent fail with the error; that its end was not told, or not yet, loses nothing. */
  conclude(error: () => Error): void {
    if (this.writableLength > 0) this.destroy(error());
    else if (this.writableEnded) this.#settle();
    else this.destroy();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#inFlight = callback;
    this.#target.send([chunk], () => this.#settle());
  }

  override _writev(items: { chunk: Buffer; encoding: BufferEncoding }[], callback: WriteCallback): void {
    this.#inFlight = callback;
    this.#target.send(
      items.map(({ chunk }) => chunk),
      () => this.#settle(),
    );
  }

  override _final(callback: WriteCallback): void {
    this.#inFlight = callback;
    this.#target.end((error) => this.#settle(error));
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    if (!this.writableFinished) this.#target.onGone(error);
    this.#settle(error ?? new Error('stdin was destroyed before this was written'));
    callback(error);
  }

  #settle(error?: Error | null): void {
    const callback = this.#inFlight;
    this.#inFlight = undefined;
    callback?.(error);
  }
}

/**
 * In place of an input that was not asked for. The command's is empty, so that it would end as if all were well: what is written must not
 * vanish without a word, and `pipeline` takes a stream that has ended already for success.
 */
export class UnwantedInput extends Writable {
  /** @internal */
  constructor(onWritten: (error: Error) => void) {
    super();
    this.on('error', onWritten);
  }

  /** The command has ended: whoever is about to write is told all the same. */
  conclude(): void {
    this.destroy(this.writableEnded ? undefined : unwanted());
  }

  override _write(_chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    callback(unwanted());
  }
}

const unwanted = (): Error =>
  new InvalidOptionError('stdin', 'must be true to write to the command: its input is empty');
