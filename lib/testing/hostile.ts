import { integer, objectOf, withDefault } from '../validation.js';

const maxUint32 = 2 ** 32 - 1;
const packetBytes = 32 * 1024;

const floodOptions = objectOf({
  count: withDefault(integer(1, 1_000_000), 1000),
  bytes: withDefault(integer(0, maxUint32), maxUint32),
});

/** An open channel without the rules that a server keeps. */
export interface RawChannel {
  /** How much the client lets the node send, in bytes. */
  readonly window: number;
  /** Sends data whatever the window says, and does not count it. */
  sendData(data: Buffer): void;
  /** Sends WINDOW_ADJUST. */
  adjustWindow(bytes: number): void;
  /** Sends CLOSE. */
  close(): void;
}

/** What a broken or malicious server might do to the channels that are open. Each method acts at once, on all of them. */
export class Hostile {
  readonly #channels: () => readonly RawChannel[];

  /** @internal */
  constructor(channels: () => readonly RawChannel[]) {
    this.#channels = channels;
  }

  /**
   * Sends zeros: as many as the client's window allows (RFC 4254 §5.2), and then `excessBytes` more.
   *
   * @param excessBytes - default: 4 MiB
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  overflowWindow(excessBytes = 4 * 1024 * 1024): void {
    integer(1, maxUint32)(excessBytes, 'excessBytes');
    const packet = Buffer.alloc(packetBytes);
    for (const channel of this.#channels()) {
      for (let left = channel.window + excessBytes; left > 0; left -= packetBytes) {
        channel.sendData(packet.subarray(0, left));
      }
    }
  }

  /**
   * Sends WINDOW_ADJUST again and again, so that the window grows past the 2³² − 1 that RFC 4254 §5.2 allows.
   *
   * @param options - `count` messages on each channel (1000) that add `bytes` (2³² − 1) each
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  floodWindowAdjust(
    options: { readonly count?: number | undefined; readonly bytes?: number | undefined } = {},
  ): void {
    const { count, bytes } = floodOptions(options, 'floodWindowAdjust');
    for (const channel of this.#channels()) {
      for (let sent = 0; sent < count; sent += 1) channel.adjustWindow(bytes);
    }
  }

  /** Sends CLOSE without EOF, as sshd does for a channel that it gives up (sshd_config `ChannelTimeout`). */
  closeWithoutEof(): void {
    for (const channel of this.#channels()) channel.close();
  }
}
