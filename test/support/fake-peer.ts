import type { ChannelListener } from '../../lib/ssh/channel.js';
import type { RawChannel } from '../../lib/ssh/ssh2-internals.js';

/** The window that ssh2 opens a channel with. */
export const WINDOW_BYTES = 2 * 1024 * 1024;

/** ssh2's side of a channel: what is sent to the peer ends up in `sent`, and the peer speaks through `deliver`, `eof` and `peerClose`. */
export class FakeRawChannel implements RawChannel {
  readonly incoming: RawChannel['incoming'] = { window: WINDOW_BYTES, state: 'open' };
  readonly outgoing: RawChannel['outgoing'] & { packetSize: number } = {
    window: WINDOW_BYTES,
    state: 'open',
    packetSize: 32 * 1024,
  };
  readonly stderr: RawChannel['stderr'] = { push: () => false };
  /** What went to the peer, in order: `EOF`, `CLOSE`, or data as text. */
  readonly sent: string[] = [];
  /** How often the window was allowed to grow. */
  resumed = 0;
  /** Writes that the peer's window holds back; `undefined` lets all through. */
  #held: (() => void)[] | undefined;

  push: (chunk: Buffer | null) => boolean = () => {
    throw new Error('the channel has to replace push');
  };

  _read(): void {
    this.resumed += 1;
  }

  _write(chunk: Uint8Array, _encoding: 'buffer', callback: () => void): void {
    if (this.outgoing.state !== 'open') return;
    this.sent.push(Buffer.from(chunk).toString());
    if (this.#held === undefined) callback();
    else this.#held.push(callback);
  }

  eof(): void {
    if (this.outgoing.state !== 'open') return;
    this.outgoing.state = 'eof';
    this.sent.push('EOF');
  }

  close(): void {
    if (this.outgoing.state !== 'open' && this.outgoing.state !== 'eof') return;
    this.outgoing.state = 'closing';
    this.sent.push('CLOSE');
  }

  /** From now on writes are done only when `release` is called. */
  hold(): void {
    this.#held ??= [];
  }

  /** Lets the first write that is held back be done. */
  release(): void {
    this.#held?.shift()?.();
  }

  /** Data packet from the peer, as ssh2 treats it (client.js, CHANNEL_DATA). */
  deliver(data: string | Buffer): boolean | undefined {
    if (this.incoming.window === 0) return undefined;
    const chunk = Buffer.from(data);
    this.incoming.window -= chunk.length;
    return this.push(chunk);
  }

  peerEof(): void {
    this.incoming.state = 'eof';
    this.push(null);
  }

  peerClose(): void {
    this.incoming.state = 'closed';
    this.push(null);
    this.close();
    this.outgoing.state = 'closed';
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
