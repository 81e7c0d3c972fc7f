import type { Place } from './channel-roster.js';
import type { RawChannel } from './ssh2-internals.js';
import type { WriteGate } from './write-gate.js';

/** What a channel puts on the connection in one turn, so that a long write does not keep its siblings waiting. */
const TURN_BYTES = 64 * 1024;

/**
 * Added to the window that the peer was told of. ssh2 drops data without a word when the window is exactly used up, and lets it go below
 * zero otherwise (mscdex/ssh2#1505); with a byte that no honest peer can use, both are noticed here.
 */
const HIDDEN_WINDOW_BYTES = 1;

/** Receives what happens on a channel. It is called from within ssh2's packet parser: user code it runs has to be isolated. */
export interface ChannelListener {
  /** Data has arrived; `false` stops the peer, once its window is used up, until `Channel.resume`. */
  onData(chunk: Buffer): boolean;
  /** The endpoint has ended its side: CHANNEL_EOF. */
  onEnd(): void;
  /** The peer has closed the channel, or its connection is gone; nothing will arrive or leave any more. */
  onClosed(): void;
}

/** What a channel needs from its connection. */
export interface ChannelOwner extends Place {
  readonly gate: WriteGate;
  /** The peer has broken the protocol; the connection cannot be trusted any more. */
  violated(problem: string): void;
}

/**
 * `open` → `half-closed` (the peer has sent EOF) → `closed`. Our own CLOSE makes it `closing`, in which everything but the peer's CLOSE is dropped.
 *
 *     open ──EOF──▶ half-closed ──CLOSE──▶ closed
 *      │ └─────────────CLOSE────────────────▲
 *      └──close()──▶ closing ───CLOSE───────┘
 */
type ChannelState =
  | { readonly name: 'open'; readonly listener: ChannelListener }
  | { readonly name: 'half-closed'; readonly listener: ChannelListener }
  | { readonly name: 'closing' }
  | { readonly name: 'closed' };

/** One direct-tcpip channel (RFC 4254 §7.2): packets in and out, without the stream that ssh2 puts around them. */
export class Channel {
  readonly #raw: RawChannel;
  readonly #owner: ChannelOwner;
  /** ssh2's own `_write`. */
  readonly #write: RawChannel['_write'];
  #state: ChannelState;
  #turn: (() => void) | undefined;

  constructor(raw: RawChannel, owner: ChannelOwner, listener: ChannelListener) {
    this.#raw = raw;
    this.#owner = owner;
    this.#state = { name: 'open', listener };
    raw.incoming.window += HIDDEN_WINDOW_BYTES;
    raw.push = (chunk) => this.#receive(chunk);
    this.#write = raw._write.bind(raw);
    // ssh2 goes on by itself with what the peer's window had no room for; that has to wait for its turn, too.
    raw._write = (chunk, encoding, done) => this.#takeTurn(() => this.#write(chunk, encoding, done));
    raw.stderr.push = (chunk) => {
      // Only sessions have extended data (RFC 4254 §5.2).
      if (chunk !== null) owner.violated('sent extended data on a forwarded channel');
      return true;
    };
  }

  /** Lets the peer send again after `onData` has returned `false`. */
  resume(): void {
    if (this.#state.name === 'open') this.#raw._read();
  }

  /** Sends a chunk as the gate and the peer's window allow. `done` is called when it has left the process, or never. */
  write(chunk: Buffer, done: () => void): void {
    let offset = 0;
    const send = (): void => {
      if (this.#raw.outgoing.state !== 'open') return;
      const slice = chunk.length <= TURN_BYTES ? chunk : chunk.subarray(offset, offset + TURN_BYTES);
      offset += slice.length;
      this.#write(slice, 'buffer', offset < chunk.length ? next : flushed);
    };
    const next = (): void => this.#takeTurn(send);
    const flushed = (): void => this.#owner.gate.whenFlushed(done);
    next();
  }

  /** Tells the peer that no more data will come. `done` is called when that has left the process, or never. */
  end(done: () => void): void {
    this.#takeTurn(() => {
      this.#raw.eof();
      this.#owner.gate.whenFlushed(done);
    });
  }

  /** Tells whether anybody would miss the channel. */
  setIdle(idle: boolean): void {
    this.#owner.setIdle(idle);
  }

  /** Closes the channel in both directions. What is on its way is dropped. */
  close(): void {
    if (this.#state.name === 'closing' || this.#state.name === 'closed') return;
    this.#state = { name: 'closing' };
    this.#cancelTurn();
    // Keeps ssh2 from sending WINDOW_ADJUST after CLOSE, which peers may take for a protocol error (mscdex/ssh2#1483).
    this.#raw.incoming.window = Number.MAX_SAFE_INTEGER;
    this.#raw.close();
    this.#owner.abandoned();
  }

  /** The connection is gone. */
  lost(): void {
    this.#finish();
  }

  #receive(chunk: Buffer | null): boolean {
    if (chunk === null) {
      if (this.#raw.incoming.state === 'eof') this.#endReceived();
      else this.#finish();
      return false;
    }
    if (this.#state.name !== 'open') return true;
    if (this.#raw.incoming.window < HIDDEN_WINDOW_BYTES) {
      this.#owner.violated('sent more data than the window of a channel allows');
      return true;
    }
    return this.#state.listener.onData(chunk);
  }

  #endReceived(): void {
    if (this.#state.name !== 'open') return;
    const { listener } = this.#state;
    this.#state = { name: 'half-closed', listener };
    listener.onEnd();
  }

  #finish(): void {
    const state = this.#state;
    if (state.name === 'closed') return;
    this.#state = { name: 'closed' };
    this.#cancelTurn();
    this.#owner.closed(this);
    if (state.name !== 'closing') state.listener.onClosed();
  }

  #takeTurn(send: () => void): void {
    this.#turn = () => {
      this.#turn = undefined;
      send();
    };
    this.#owner.gate.pass(this.#turn);
  }

  #cancelTurn(): void {
    if (this.#turn === undefined) return;
    this.#owner.gate.cancel(this.#turn);
    this.#turn = undefined;
  }
}
