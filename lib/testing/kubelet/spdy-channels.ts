import type { Readable, Writable } from 'node:stream';
import type { SpdyHeaders } from '../../spdy/header-block.js';
import type { SpdySession } from '../../spdy/session.js';
import { type TakeStream } from '../../spdy/session.js';
import type { SpdyStream } from '../../spdy/stream.js';
import type { Channels, Reader, SinkOptions } from './channels.js';
import { ERROR, RESIZE, STDERR, STDIN, STDOUT, type StreamQuery } from './exec.js';
import { messageOf } from './status.js';

/** How often a client is looked at whose words are not waited for. */
const VIGIL_MS = 200;

/** Streams of exec and attach by their header `streamtype`. */
const CHANNELS = new Map([
  ['stdin', STDIN],
  ['stdout', STDOUT],
  ['stderr', STDERR],
  ['error', ERROR],
  ['resize', RESIZE],
]);

/** The streams that a client opens for what its query asks for (k8s.io/kubelet, pkg/cri/streaming/remotecommand/httpstream.go). */
function expected({ stdin, stdout, stderr, tty }: StreamQuery, protocol: string): ReadonlySet<number> {
  const isResizable = tty && /^v[34]/.test(protocol);
  return new Set([
    ERROR,
    ...(stdin ? [STDIN] : []),
    ...(stdout ? [STDOUT] : []),
    ...(stderr ? [STDERR] : []),
    ...(isResizable ? [RESIZE] : []),
  ]);
}

/** The streams of one session of SPDY/3.1: each channel has its own, whose direction to us ends alone. */
export class SpdyChannels implements Channels {
  readonly gone: Promise<void>;
  readonly #session: SpdySession;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #expected: ReadonlySet<number>;
  readonly #isPlain: boolean;
  #arrived = (): void => undefined;

  /**
   * @param start - makes a session whose streams are judged by its argument
   * @param protocol - before `v4.channel.k8s.io`, the error stream has a text only
   */
  constructor(
    start: (accept: (headers: SpdyHeaders) => TakeStream | undefined) => SpdySession,
    wanted: StreamQuery,
    protocol: string,
  ) {
    this.#expected = expected(wanted, protocol);
    this.#isPlain = !protocol.startsWith('v4');
    this.#session = start((headers) => this.#judge(headers));
    this.gone = this.#session.closed;
    // Who leaves while nothing is read is noticed by writing only.
    const vigil = setInterval(() => {
      if (this.#session.isHeldUp) this.#session.ping();
    }, VIGIL_MS);
    void this.gone.then(() => clearInterval(vigil));
  }

  /** Resolves with true when every stream is there, with false when the client is gone or takes too long. */
  async complete(timeoutMs: number): Promise<boolean> {
    const arrived = new Promise<void>((resolve) => (this.#arrived = resolve));
    if (this.#isComplete) return true;
    const limit = setTimeout(() => this.#session.destroy(), timeoutMs);
    await Promise.race([arrived, this.gone]);
    clearTimeout(limit);
    return this.#isComplete;
  }

  async send(channel: number, data: Buffer | string = ''): Promise<void> {
    const stream = this.#streams.get(channel);
    const bytes = channel === ERROR && this.#isPlain ? messageOf(data) : data;
    // A greeting is for WebSockets only.
    if (stream === undefined || bytes.length === 0) return;
    await new Promise<void>((resolve) => {
      stream.write(bytes, () => resolve());
    });
  }

  async sendFrom(source: Readable, channel: number): Promise<void> {
    const stream = this.#streams.get(channel);
    if (stream === undefined || stream.closed) source.resume();
    else {
      source.pipe(stream);
      // Nobody hears it, but it is to go on.
      stream.once('close', () => source.resume());
      // It may be destroyed without an end.
      source.once('close', () => stream.end());
    }
    if (!source.closed) {
      await new Promise<void>((resolve) => {
        source.once('close', resolve);
      });
    }
    await written(stream);
  }

  receiveInto(sink: Writable, channel: number, { end = true, onEnd }: SinkOptions = {}): void {
    const stream = this.#streams.get(channel);
    if (stream === undefined) return;
    if (onEnd !== undefined) stream.once('end', onEnd);
    stream.pipe(sink, { end });
    const drop = (): void => void stream.unpipe(sink).resume();
    sink.once('close', drop);
    stream.once('close', () => sink.off('close', drop));
  }

  receive(channel: number, reader: Reader): void {
    const stream = this.#streams.get(channel);
    stream?.on('data', (bytes: Buffer) => {
      for (const line of bytes.toString().split('\n')) if (line !== '') reader.data(Buffer.from(line));
    });
    stream?.once('end', () => reader.end());
  }

  async close(): Promise<void> {
    const streams = [...this.#streams.values()];
    await Promise.all(streams.map((stream) => written(stream.end())));
    for (const stream of streams) stream.destroy();
    await this.#session.close();
  }

  cut(): void {
    this.#session.destroy();
  }

  get #isComplete(): boolean {
    return this.#streams.size === this.#expected.size;
  }

  #judge(headers: SpdyHeaders): TakeStream | undefined {
    const channel = CHANNELS.get(headers.get('streamtype') ?? '');
    if (channel === undefined || !this.#expected.has(channel) || this.#streams.has(channel)) return undefined;
    return (stream) => {
      this.#streams.set(channel, stream);
      if (channel !== STDIN && channel !== RESIZE) stream.resume();
      if (this.#isComplete) this.#arrived();
    };
  }
}

/** Resolves when all that was written has left, or cannot. */
async function written(stream: SpdyStream | undefined): Promise<void> {
  if (stream === undefined || stream.writableFinished || stream.destroyed) return;
  await new Promise<void>((resolve) => {
    stream.once('finish', resolve).once('close', resolve);
  });
}
