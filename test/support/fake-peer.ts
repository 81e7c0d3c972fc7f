import { ChannelRoster, type Place } from '../../lib/ssh/channel-roster.js';
import { Channel, WINDOW_BYTES, type ChannelListener, type ChannelPeer } from '../../lib/ssh/channel.js';
import type { ChannelMessages } from '../../lib/ssh/ssh2-internals.js';
import { WriteGate } from '../../lib/ssh/write-gate.js';

/** The other end of a channel: what is sent to it ends up in `sent`; it speaks through `deliver`, `peerEof` and `peerClose`. */
export class FakePeer {
  /** What came to the peer, in order: `EOF`, `CLOSE`, `REFUSED` for a request that was not granted, or data as text. */
  readonly sent: string[] = [];
  /** How much room the peer was told of beyond its first window. */
  roomBytes = 0;
  readonly violations: string[] = [];
  /** How the channel was seen by its roster: `idle`, `busy`, `abandoned`, `over`. */
  readonly marks: string[] = [];
  /** Whether the connection takes more. */
  canWrite = true;

  readonly gate = new WriteGate({
    canWrite: () => this.canWrite,
    whenFlushed: (done) => {
      if (this.#unflushed === undefined) done();
      else this.#unflushed.push(done);
    },
    onSent: () => undefined,
  });

  /** Those that wait for their write to be flushed; `undefined` lets all through. */
  #unflushed: (() => void)[] | undefined;
  readonly #peer: ChannelPeer;
  #channel: Channel | undefined;

  constructor(peer: Partial<ChannelPeer> = {}) {
    this.#peer = { id: 7, windowBytes: WINDOW_BYTES, packetBytes: 1024 * 1024, ...peer };
  }

  /** The channel to this peer. */
  open(listener: ChannelListener): Channel {
    const roster = new NotingRoster(this.marks);
    const place = roster.enter(() => undefined);
    const violated = (problem: string): void => void this.violations.push(problem);
    const owner = { messages: this.#messages, gate: this.gate, roster, violated, whenRead: () => undefined };
    return (this.#channel = new Channel(this.#peer, place, owner, listener));
  }

  get channel(): Channel {
    if (this.#channel === undefined) throw new Error('the channel has not been opened');
    return this.#channel;
  }

  /** From now on writes leave the process only when `release` is called. */
  hold(): void {
    this.#unflushed ??= [];
  }

  /** Lets the first write that is held back leave. */
  release(): void {
    this.#unflushed?.shift()?.();
  }

  deliver(data: string | Buffer): void {
    this.channel.received(Buffer.isBuffer(data) ? data : Buffer.from(data));
  }

  peerEof(): void {
    this.channel.receivedEnd();
  }

  peerClose(): void {
    this.channel.receivedClose();
  }

  readonly #messages: ChannelMessages = {
    directTcpip: () => undefined,
    channelData: (_, data) => void this.sent.push(Buffer.from(data).toString()),
    channelWindowAdjust: (_, bytes) => (this.roomBytes += bytes),
    channelEOF: () => void this.sent.push('EOF'),
    channelClose: () => void this.sent.push('CLOSE'),
    channelFailure: () => void this.sent.push('REFUSED'),
  };
}

class NotingRoster extends ChannelRoster {
  readonly #marks: string[];

  constructor(marks: string[]) {
    super({ maxLingering: 1, onChange: () => undefined });
    this.#marks = marks;
  }

  override setIdle(place: Place, idle: boolean): void {
    this.#marks.push(idle ? 'idle' : 'busy');
    super.setIdle(place, idle);
  }

  override abandoned(place: Place): void {
    this.#marks.push('abandoned');
    super.abandoned(place);
  }

  override closed(place: Place): void {
    this.#marks.push('over');
    super.closed(place);
  }
}

/** A listener that notes what it hears. */
export function noteEvents(answer: { wantsMore: boolean } = { wantsMore: true }): {
  readonly events: string[];
  readonly listener: ChannelListener;
} {
  const events: string[] = [];
  return {
    events,
    listener: {
      onData: (chunk) => {
        events.push(`data ${chunk.toString()}`);
        return answer.wantsMore;
      },
      onEnd: () => void events.push('end'),
      onClosed: () => void events.push('closed'),
    },
  };
}
