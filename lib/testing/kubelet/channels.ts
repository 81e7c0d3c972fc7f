import type { Readable, Writable } from 'node:stream';

/** Takes what the client sends on one channel. */
export interface Reader {
  data(bytes: Buffer): void;
  end(): void;
}

/** What becomes of a sink when the client says that it has sent everything. */
export interface SinkOptions {
  /** Whether the sink ends then. Default: true. */
  readonly end?: boolean | undefined;
  /** Called then. */
  readonly onEnd?: (() => void) | undefined;
}

/** The streams between a client and what is executed or attached to, by their numbers, whatever carries them. */
export interface Channels {
  /** Resolves when the client is gone, or has said goodbye. */
  readonly gone: Promise<void>;
  /** Sends a message. Resolves when it has left, or the client is gone. */
  send(channel: number, data?: Buffer | string): Promise<void>;
  /** Sends all that a source gives. Resolves when it has ended and everything has left. */
  sendFrom(source: Readable, channel: number): Promise<void>;
  /** Writes what the client sends on a channel; what comes when the sink takes no more is dropped. */
  receiveInto(sink: Writable, channel: number, options?: SinkOptions): void;
  receive(channel: number, reader: Reader): void;
  /** Says goodbye after everything that was sent. */
  close(): Promise<void>;
  cut(): void;
}
