import { fromMilliseconds, type Nanoseconds } from './timestamp.js';

export interface LogLine {
  readonly time: Nanoseconds;
  readonly stream: 'stdout' | 'stderr';
  /** Without the newline. */
  readonly text: Buffer;
}

/** A kubelet rotates logs; here the oldest lines are forgotten. */
const MAX_BYTES = 64 * 1024 * 1024;

/** What one run of a container prints: lines, until it ends. Whoever follows it holds a place in it and no copy. */
export class ContainerLog {
  #lines: LogLine[] = [];
  /** Number of the first line that is kept. */
  #first = 0;
  #bytes = 0;
  #ended = false;
  readonly #followers = new Set<() => void>();

  /** One more than the number of the last line. */
  get end(): number {
    return this.#first + this.#lines.length;
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  append(line: LogLine): void {
    this.#lines.push(line);
    this.#bytes += line.text.length;
    if (this.#bytes > MAX_BYTES) this.#forget();
    this.#wake();
  }

  finish(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The line of this number, or the oldest that is kept. */
  at(number: number): { readonly number: number; readonly line: LogLine } | undefined {
    const actual = Math.max(number, this.#first);
    const line = this.#lines[actual - this.#first];
    return line && { number: actual, line };
  }

  /** Resolves when there is more to read than up to this number, when the log has ended, and when the signal fires. */
  async more(number: number, signal: AbortSignal): Promise<void> {
    if (number < this.end || this.#ended || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#followers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#followers.add(wake);
      signal.addEventListener('abort', wake);
    });
  }

  /** Half of it at once, so that a long log is not copied for every line. */
  #forget(): void {
    while (this.#bytes > MAX_BYTES / 2 && this.#lines.length > 1) {
      const half = this.#lines.splice(0, Math.ceil(this.#lines.length / 2));
      this.#first += half.length;
      for (const { text } of half) this.#bytes -= text.length;
    }
  }

  #wake(): void {
    for (const wake of [...this.#followers]) wake();
  }
}

/** A clock that no two lines read the same, as with a runtime that stamps them by the nanosecond. */
export class LineClock {
  #last: Nanoseconds = 0n;

  now(): Nanoseconds {
    const now = fromMilliseconds(performance.timeOrigin + performance.now());
    this.#last = now > this.#last ? now : this.#last + 1n;
    return this.#last;
  }
}
