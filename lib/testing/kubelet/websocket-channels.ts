import type { Readable, Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import type { Channels, Reader, SinkOptions } from './channels.js';
import { ERROR } from './exec.js';
import type { ProtocolVersion } from './options.js';
import { messageOf } from './status.js';

/** Above this what waits to be sent holds up its source. */
const HIGH_WATER = 1024 * 1024;
/** Until less than this waits. */
const LOW_WATER = HIGH_WATER / 4;
/** How often a client is looked at whose words are not waited for. */
const VIGIL_MS = 200;
/** In v5, the first byte of a message that says which channel has ended (k8s.io/apimachinery, pkg/util/remotecommand/constants.go). */
const CLOSE_CHANNEL = 255;

/**
 * The channels of one WebSocket: a message is the channel's number in a byte, and data. Back-pressure holds both ways, for the WebSocket
 * as a whole.
 */
export class WebSocketChannels implements Channels {
  readonly gone: Promise<void>;
  readonly #socket: WebSocket;
  readonly #readers = new Map<number, Reader>();
  /** What cannot take more for now. */
  readonly #full = new Set<Writable>();
  /** Sources that wait for what was sent to leave. */
  readonly #held = new Set<Readable>();
  readonly #version: ProtocolVersion;
  #unsent = 0;
  #isClosing = false;

  /** @internal Without it a user who compiles would need the types of `ws`. */
  constructor(socket: WebSocket, version: ProtocolVersion) {
    this.#socket = socket;
    this.#version = version;
    socket.on('message', (message) => this.#take(message as Buffer));
    // Told by the close that follows.
    socket.on('error', () => undefined);
    const vigil = setInterval(() => this.#look(), VIGIL_MS);
    this.gone = new Promise((resolve) => {
      socket.once('close', () => {
        clearInterval(vigil);
        this.#held.clear();
        resolve();
      });
    });
  }

  send(channel: number, data: Buffer | string = ''): Promise<void> {
    const isPlainStatus = this.#version === 'v1' && channel === ERROR && data.length > 0;
    const words = isPlainStatus ? messageOf(data) : data;
    if (isPlainStatus && words === '') return Promise.resolve();
    const bytes = typeof words === 'string' ? Buffer.from(words) : words;
    const message = Buffer.concat([Buffer.of(channel), bytes]);
    this.#unsent += message.length;
    return new Promise((resolve) => {
      this.#socket.send(message, { binary: true }, () => {
        this.#unsent -= message.length;
        if (this.#unsent < LOW_WATER) this.#release();
        resolve();
      });
    });
  }

  async sendFrom(source: Readable, channel: number): Promise<void> {
    let last = Promise.resolve();
    source.on('data', (bytes: Buffer) => {
      last = this.send(channel, bytes);
      if (this.#unsent < HIGH_WATER) return;
      source.pause();
      this.#held.add(source);
    });
    if (!source.closed) {
      await new Promise<void>((resolve) => {
        source.once('close', resolve);
      });
    }
    this.#held.delete(source);
    await last;
  }

  receiveInto(sink: Writable, channel: number, { end = true, onEnd }: SinkOptions = {}): void {
    const ready = (): void => {
      this.#full.delete(sink);
      if (this.#full.size === 0) this.#socket.resume();
    };
    sink.on('drain', ready);
    sink.once('close', ready);
    // A sink may outlive its client.
    void this.gone.then(() => sink.off('drain', ready).off('close', ready));
    this.receive(channel, {
      data: (bytes) => {
        if (!sink.writable || sink.write(bytes)) return;
        this.#full.add(sink);
        this.#socket.pause();
      },
      end: () => {
        if (end && sink.writable) sink.end();
        onEnd?.();
      },
    });
  }

  receive(channel: number, reader: Reader): void {
    this.#readers.set(channel, reader);
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    this.#full.clear();
    this.#socket.resume();
    this.#socket.close(1000);
    await this.gone;
  }

  cut(): void {
    this.#socket.terminate();
  }

  #take(message: Buffer): void {
    const [channel] = message;
    if (channel === undefined) return;
    if (channel === CLOSE_CHANNEL && this.#version === 'v5') {
      const ended = message[1];
      if (ended !== undefined && message.length === 2) this.#readers.get(ended)?.end();
    } else if (message.length > 1) this.#readers.get(channel)?.data(message.subarray(1));
  }

  /** For those who left while nobody waits for their words: a paused socket does not say so until something is sent. */
  #look(): void {
    const { readyState, OPEN, isPaused, bufferedAmount } = this.#socket;
    if (readyState !== OPEN) {
      if (!this.#isClosing) this.#socket.terminate();
    } else if (isPaused && bufferedAmount === 0) {
      this.#socket.ping(undefined, undefined, () => undefined);
    }
  }

  #release(): void {
    for (const source of this.#held) source.resume();
    this.#held.clear();
  }
}
