import { EventEmitter, once } from 'node:events';
import type { Readable } from 'node:stream';

/** What a server writes to its log, line by line, and a way to wait for a line. */
export class LogLines {
  readonly lines: string[] = [];
  readonly #changed = new EventEmitter().setMaxListeners(0);
  #sources = 0;

  /** Reads a stream to its end; several may be read at once. */
  read(stream: Readable): void {
    let rest = '';
    this.#sources++;
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      const lines = (rest + text).split(/\r?\n/);
      rest = lines.pop() ?? '';
      this.lines.push(...lines);
      this.#changed.emit('change');
    });
    stream.once('close', () => {
      if (rest !== '') this.lines.push(rest);
      this.#sources--;
      this.#changed.emit('change');
    });
  }

  /** The last lines, for an error message. */
  tail(count = 20): string {
    return this.lines.slice(-count).join('\n');
  }

  /**
   * Waits for a line that matches, among those from index `since` (0) on.
   *
   * @throws after `timeoutMs` (10 s), or when nothing more can come
   */
  async waitFor(
    pattern: RegExp,
    { since = 0, timeoutMs = 10_000 }: { since?: number; timeoutMs?: number } = {},
  ): Promise<RegExpExecArray> {
    const deadline = AbortSignal.timeout(timeoutMs);
    for (let next = since; ;) {
      for (; next < this.lines.length; next++) {
        const match = pattern.exec(this.lines[next] ?? '');
        if (match !== null) return match;
      }
      if (this.#sources === 0) throw new Error(`the log ended without ${String(pattern)}:\n${this.tail()}`);
      await once(this.#changed, 'change', { signal: deadline }).catch((error: unknown) => {
        throw new Error(`no log line like ${String(pattern)} in ${timeoutMs} ms:\n${this.tail()}`, {
          cause: error,
        });
      });
    }
  }
}
