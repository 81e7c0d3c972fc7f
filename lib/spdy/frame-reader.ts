import { protocolError } from './errors.js';
import { CONTROL, FIN, HEAD_BYTES, UNIDIRECTIONAL, VERSION } from './frames.js';
import { HeaderReader, MAX_HEADER_BYTES, type SpdyHeaders } from './header-block.js';

/** What a peer says. */
export type Frame =
  /** A piece of a data frame; the last one says whether the stream ends with it. */
  | { readonly type: 'data'; readonly stream: number; readonly bytes: Buffer; readonly fin: boolean }
  | {
      readonly type: 'open';
      readonly stream: number;
      readonly headers: SpdyHeaders;
      readonly fin: boolean;
      readonly unidirectional: boolean;
    }
  | {
      readonly type: 'reply' | 'headers';
      readonly stream: number;
      readonly headers: SpdyHeaders;
      readonly fin: boolean;
    }
  | { readonly type: 'reset'; readonly stream: number; readonly status: number }
  | { readonly type: 'ping'; readonly id: number }
  | { readonly type: 'go-away'; readonly lastStream: number };

type State =
  | { readonly reading: 'head' }
  | { readonly reading: 'data'; readonly stream: number; readonly fin: boolean; left: number }
  | { readonly reading: 'control'; readonly kind: number; readonly flags: number }
  | { readonly reading: 'unknown'; left: number };

const KNOWN = new Map(Object.entries(CONTROL).map(([name, kind]) => [kind as number, name]));
/** A control frame of a kind that is known. */
const MAX_CONTROL_BYTES = MAX_HEADER_BYTES;
const MAX_STREAM_ID = 0x7fffffff;

/**
 * Reads frames from bytes as they come. Data is passed on piece by piece, however long its frame is; what has to be whole is bounded.
 */
export class FrameReader {
  readonly #take: (frame: Frame) => void;
  readonly #headers = new HeaderReader();
  #state: State = { reading: 'head' };
  /** A head, or the rest of a control frame, and how much of it has come. */
  #whole = Buffer.alloc(HEAD_BYTES);
  #filled = 0;

  constructor(take: (frame: Frame) => void) {
    this.#take = take;
  }

  /** @throws {@link SpdyError} `ERR_SPDY_PROTOCOL`; nothing can be read after it */
  read(bytes: Buffer): void {
    let rest = bytes;
    while (rest.length > 0) rest = rest.subarray(this.#step(rest));
  }

  /** Returns how much it has used. */
  #step(bytes: Buffer): number {
    const state = this.#state;
    if (state.reading === 'data' || state.reading === 'unknown') {
      const used = Math.min(state.left, bytes.length);
      state.left -= used;
      const isLast = state.left === 0;
      if (isLast) this.#await(HEAD_BYTES, { reading: 'head' });
      if (state.reading === 'data') {
        const { stream } = state;
        this.#take({ type: 'data', stream, bytes: bytes.subarray(0, used), fin: state.fin && isLast });
      }
      return used;
    }
    const used = bytes.copy(this.#whole, this.#filled);
    this.#filled += used;
    if (this.#filled === this.#whole.length) {
      if (state.reading === 'head') this.#head(this.#whole);
      else this.#control(state, this.#whole);
    }
    return used;
  }

  #await(length: number, state: State): void {
    this.#whole = Buffer.alloc(length);
    this.#filled = 0;
    this.#state = state;
  }

  #head(head: Buffer): void {
    const [flags, length] = [head.readUInt8(4), head.readUInt32BE(4) & 0xffffff];
    if (head.readUInt8(0) < 0x80) this.#data(head.readUInt32BE(0), (flags & FIN) !== 0, length);
    else {
      if ((head.readUInt16BE(0) & 0x7fff) !== VERSION) throw protocolError('a frame is of another version');
      const kind = head.readUInt16BE(2);
      if (KNOWN.has(kind)) {
        if (length < 4 || length > MAX_CONTROL_BYTES) throw protocolError('a frame has an impossible length');
        this.#await(length, { reading: 'control', kind, flags });
      } else if (length === 0) this.#await(HEAD_BYTES, { reading: 'head' });
      else this.#state = { reading: 'unknown', left: length };
    }
  }

  #data(stream: number, fin: boolean, length: number): void {
    if (length > 0) this.#state = { reading: 'data', stream, fin, left: length };
    else {
      this.#await(HEAD_BYTES, { reading: 'head' });
      this.#take({ type: 'data', stream, bytes: Buffer.alloc(0), fin });
    }
  }

  #control({ kind, flags }: Extract<State, { reading: 'control' }>, payload: Buffer): void {
    this.#await(HEAD_BYTES, { reading: 'head' });
    this.#take(this.#parse(kind, flags, payload));
  }

  #parse(kind: number, flags: number, payload: Buffer): Frame {
    const first = payload.readUInt32BE(0);
    const stream = first & MAX_STREAM_ID;
    const fin = (flags & FIN) !== 0;
    switch (kind) {
      case CONTROL.SYN_STREAM: {
        const unidirectional = (flags & UNIDIRECTIONAL) !== 0;
        if (payload.length < 10) throw protocolError('a frame has an impossible length');
        return {
          type: 'open',
          stream,
          headers: this.#headers.read(payload.subarray(10)),
          fin,
          unidirectional,
        };
      }
      case CONTROL.SYN_REPLY:
        return { type: 'reply', stream, headers: this.#headers.read(payload.subarray(4)), fin };
      case CONTROL.HEADERS:
        return { type: 'headers', stream, headers: this.#headers.read(payload.subarray(4)), fin };
      case CONTROL.PING:
        return { type: 'ping', id: first };
      default: {
        if (payload.length !== 8) throw protocolError('a frame has an impossible length');
        return kind === CONTROL.GOAWAY
          ? { type: 'go-away', lastStream: stream }
          : { type: 'reset', stream, status: payload.readUInt32BE(4) };
      }
    }
  }
}
