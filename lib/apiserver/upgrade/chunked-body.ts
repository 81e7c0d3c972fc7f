import { ReplyError } from './reply-head.js';
import type { ReplyBody } from './reply-body.js';

/** A size with its extensions, or a field of the trailer. */
const MAX_LINE_BYTES = 16 * 1024;
const MAX_TRAILER_LINES = 100;

const CR = 0x0d;
const LF = 0x0a;

/**
 *     size ──▶ data ──▶ after-data ──▶ size
 *      └─ size 0 ──▶ trailer ──▶ complete
 */
type State =
  | { readonly name: 'size'; line: string }
  | { readonly name: 'data'; left: number }
  | { readonly name: 'after-data'; line: string }
  | { readonly name: 'trailer'; line: string; lines: number }
  | { readonly name: 'complete' };

/** Follows a body in chunks (RFC 9112 §7.1) to its end. */
export class ChunkedBody implements ReplyBody {
  readonly endsWithConnection = false;
  #state: State = { name: 'size', line: '' };

  get isComplete(): boolean {
    return this.#state.name === 'complete';
  }

  /** @throws {@link ReplyError} */
  take(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length && this.#state.name !== 'complete') {
      if (this.#state.name === 'data') at += this.#takeData(this.#state, chunk.length - at);
      else {
        this.#takeByte(this.#state, chunk[at] ?? 0);
        at += 1;
      }
    }
    return at;
  }

  #takeData(state: Extract<State, { name: 'data' }>, available: number): number {
    const taken = Math.min(state.left, available);
    state.left -= taken;
    if (state.left === 0) this.#state = { name: 'after-data', line: '' };
    return taken;
  }

  #takeByte(state: Extract<State, { line: string }>, byte: number): void {
    const endsInCr = state.line.endsWith('\r');
    if (byte === LF && endsInCr) this.#takeLine(state, state.line.slice(0, -1));
    else if (byte === LF || endsInCr) throw new ReplyError('a line between chunks does not end in CRLF');
    else if (state.line.length >= MAX_LINE_BYTES) throw new ReplyError('a line between chunks is too long');
    else if (byte < 0x20 && byte !== CR && byte !== 0x09) throw new ReplyError('a chunk is malformed');
    else state.line += String.fromCharCode(byte);
  }

  #takeLine(state: Extract<State, { line: string }>, line: string): void {
    switch (state.name) {
      case 'size':
        this.#begin(line);
        break;
      case 'after-data':
        if (line !== '') throw new ReplyError('a chunk is longer than it says');
        this.#state = { name: 'size', line: '' };
        break;
      case 'trailer':
        if (state.lines >= MAX_TRAILER_LINES) throw new ReplyError('the trailer has too many lines');
        this.#state =
          line === '' ? { name: 'complete' } : { name: 'trailer', line: '', lines: state.lines + 1 };
    }
  }

  #begin(line: string): void {
    const size = /^([\da-f]{1,12})[\t ]*(?:;|$)/i.exec(line)?.[1];
    if (size === undefined) throw new ReplyError('the size of a chunk is malformed');
    const left = Number.parseInt(size, 16);
    this.#state = left === 0 ? { name: 'trailer', line: '', lines: 0 } : { name: 'data', left };
  }
}
