import type { ChannelRoster, Place } from './channel-roster.js';
import type { ChannelMessages } from './ssh2-internals.js';
import type { WriteGate } from './write-gate.js';

/** Bytes that a peer may send before we make room again: enough for 1 Gbit/s over 16 ms, and what a stream without a reader may hold. */
export const WINDOW_BYTES = 2 * 1024 * 1024;

/** The peer is told of new room when half of its window is used up. */
const WINDOW_THRESHOLD_BYTES = WINDOW_BYTES / 2;

/** Largest window there is (RFC 4254 §5.2). */
const MAX_WINDOW_BYTES = 2 ** 32 - 1;

/** What a channel puts on the connection in one turn, so that a long write does not keep its siblings waiting. */
const TURN_BYTES = 64 * 1024;

/** Receives what happens on a channel. It is called from within ssh2's packet parser: user code it runs has to be isolated. */
export interface ChannelListener {
  /** Data has arrived; `false` stops the peer, once its window is used up, until `Channel.resume`. */
  onData(chunk: Buffer): boolean;
  /** The endpoint has ended its side: CHANNEL_EOF. */
  onEnd(): void;
  /** The peer has closed the channel, or its connection is gone; nothing will arrive or leave any more. */
  onClosed(): void;
}

/** What the channels of a connection share. */
export interface ChannelOwner {
  readonly messages: ChannelMessages;
  readonly gate: WriteGate;
  readonly roster: ChannelRoster;
  /** The peer has broken the protocol; the connection cannot be trusted any more. */
  violated(problem: string): void;
  /** Calls back when the peer has read all that was sent before; not at all when the connection is lost. */
  whenRead(done: () => void): void;
}

/** The peer's side of a channel, as it was confirmed. */
export interface ChannelPeer {
  /** The peer's number for the channel. */
  readonly id: number;
  /** Bytes that it takes for now. */
  readonly windowBytes: number;
  /** Largest packet of data that it takes. */
  readonly packetBytes: number;
}

/** A write that is under way. */
interface Writing {
  readonly chunk: Buffer;
  /** How much of it has been sent. */
  offset: number;
  readonly done: () => void;
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

/** One direct-tcpip channel that the peer has confirmed (RFC 4254 §5, §7.2). */
export class Channel {
  readonly #peer: ChannelPeer;
  readonly #owner: ChannelOwner;
  readonly #place: Place;
  #state: ChannelState;
  /** Bytes that the peer may still send. */
  #incomingBytes = WINDOW_BYTES;
  /** Bytes that we may still send. */
  #outgoingBytes: number;
  #turn: (() => void) | undefined;
  /** Waits for the peer's window. */
  #parked: Writing | undefined;

  /** @param place - its entry among the channels of the connection */
  constructor(peer: ChannelPeer, place: Place, owner: ChannelOwner, listener: ChannelListener) {
    this.#peer = peer;
    this.#place = place;
    this.#owner = owner;
    this.#outgoingBytes = peer.windowBytes;
    this.#state = { name: 'open', listener };
  }

  /** Lets the peer send again after `onData` has returned `false`. */
  resume(): void {
    if (this.#state.name === 'open') this.#makeRoom();
  }

  /** Sends a chunk as the gate and the peer's window allow. `done` is called when it has left the process, or never. */
  write(chunk: Buffer, done: () => void): void {
    this.#send({ chunk, offset: 0, done });
  }

  /** Tells the peer that no more data will come. `done` is called when that has left the process, or never. */
  end(done: () => void): void {
    const { messages, gate } = this.#owner;
    this.#takeTurn(() => {
      messages.channelEOF(this.#peer.id);
      gate.whenFlushed(done);
    });
  }

  /** Tells whether anybody would miss the channel. */
  setIdle(idle: boolean): void {
    this.#owner.roster.setIdle(this.#place, idle);
  }

  /** Closes the channel in both directions. What is on its way is dropped. */
  close(): void {
    if (this.#state.name === 'closing' || this.#state.name === 'closed') return;
    this.#state = { name: 'closing' };
    this.#giveUpWriting();
    this.#owner.messages.channelClose(this.#peer.id);
    this.#owner.roster.abandoned(this.#place);
  }

  /** The connection is gone. */
  lost(): void {
    const state = this.#state;
    if (state.name === 'closed') return;
    this.#state = { name: 'closed' };
    this.#giveUpWriting();
    this.#owner.roster.closed(this.#place);
    if (state.name !== 'closing') state.listener.onClosed();
  }

  /** CHANNEL_DATA. After CLOSE we make no more room: peers may take a WINDOW_ADJUST for a protocol error then (mscdex/ssh2#1483). */
  received(chunk: Buffer): void {
    if (this.#state.name !== 'open') return;
    this.#incomingBytes -= chunk.length;
    if (this.#incomingBytes < 0) {
      this.#owner.violated('sent more data than the window of a channel allows');
      return;
    }
    if (this.#state.listener.onData(chunk)) this.resume();
  }

  /** CHANNEL_WINDOW_ADJUST. */
  receivedRoom(bytes: number): void {
    this.#outgoingBytes += bytes;
    if (this.#outgoingBytes > MAX_WINDOW_BYTES) {
      this.#owner.violated('made a window larger than there can be');
      return;
    }
    const writing = this.#parked;
    if (writing === undefined || bytes === 0) return;
    this.#parked = undefined;
    this.#send(writing);
  }

  /** CHANNEL_EOF. */
  receivedEnd(): void {
    if (this.#state.name !== 'open') return;
    const { listener } = this.#state;
    this.#state = { name: 'half-closed', listener };
    listener.onEnd();
  }

  /** CHANNEL_CLOSE, which is answered with ours if that has not been sent. */
  receivedClose(): void {
    if (this.#state.name !== 'closing') this.#owner.messages.channelClose(this.#peer.id);
    this.lost();
  }

  /** Calls back when the node has read what was written before, and whatever else its connection had to carry. */
  whenRead(done: () => void): void {
    this.#owner.whenRead(done);
  }

  /** A request that wants an answer: sshd's keepalive comes on a channel if there is one. */
  receivedRequest(): void {
    if (this.#state.name !== 'closing') this.#owner.messages.channelFailure(this.#peer.id);
  }

  #makeRoom(): void {
    if (this.#incomingBytes > WINDOW_THRESHOLD_BYTES) return;
    this.#owner.messages.channelWindowAdjust(this.#peer.id, WINDOW_BYTES - this.#incomingBytes);
    this.#incomingBytes = WINDOW_BYTES;
  }

  #send(writing: Writing): void {
    this.#takeTurn(() => {
      this.#sendPackets(writing);
      if (writing.offset === writing.chunk.length) this.#owner.gate.whenFlushed(writing.done);
      else if (this.#outgoingBytes > 0) this.#send(writing);
      else this.#parked = writing;
    });
  }

  /** One turn's worth. */
  #sendPackets(writing: Writing): void {
    const { chunk } = writing;
    const { id, packetBytes } = this.#peer;
    const end = Math.min(chunk.length, writing.offset + Math.min(TURN_BYTES, this.#outgoingBytes));
    this.#outgoingBytes -= end - writing.offset;
    while (writing.offset < end) {
      const packetEnd = Math.min(end, writing.offset + packetBytes);
      const isWhole = writing.offset === 0 && packetEnd === chunk.length;
      this.#owner.messages.channelData(id, isWhole ? chunk : chunk.subarray(writing.offset, packetEnd));
      writing.offset = packetEnd;
    }
  }

  /** Whoever was told of a flush may want to go on with the next chunk although the channel is over by now. */
  #takeTurn(send: () => void): void {
    if (this.#state.name === 'closing' || this.#state.name === 'closed') return;
    this.#turn = () => {
      this.#turn = undefined;
      send();
    };
    this.#owner.gate.pass(this.#turn);
  }

  #giveUpWriting(): void {
    this.#parked = undefined;
    if (this.#turn === undefined) return;
    this.#owner.gate.cancel(this.#turn);
    this.#turn = undefined;
  }
}
