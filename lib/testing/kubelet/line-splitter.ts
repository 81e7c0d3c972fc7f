const NEWLINE = 0x0a;
/** A runtime breaks longer lines (containerd's `max_container_log_line_size`). */
const MAX_LINE_BYTES = 16 * 1024;

/** Makes lines of bytes that come in pieces. */
export class LineSplitter {
  readonly #take: (line: Buffer) => void;
  #rest: Buffer = Buffer.alloc(0);

  constructor(take: (line: Buffer) => void) {
    this.#take = take;
  }

  write(bytes: Buffer): void {
    let all = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const end = all.indexOf(NEWLINE);
      if (end === -1 ? all.length <= MAX_LINE_BYTES : end <= MAX_LINE_BYTES) {
        if (end === -1) break;
        this.#take(Buffer.from(all.subarray(0, end)));
        all = all.subarray(end + 1);
      } else {
        this.#take(Buffer.from(all.subarray(0, MAX_LINE_BYTES)));
        all = all.subarray(MAX_LINE_BYTES);
      }
    }
    this.#rest = Buffer.from(all);
  }

  /** What stands there without a newline is a line as well. */
  end(): void {
    if (this.#rest.length > 0) this.#take(this.#rest);
    this.#rest = Buffer.alloc(0);
  }
}
