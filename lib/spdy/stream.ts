import { Duplex } from 'node:stream';
import { SpdyError } from './errors.js';
import { RESET } from './frames.js';
import type { SpdyHeaders } from './header-block.js';

/** The longest data frame that is sent, so that a long write does not hold up the other streams. */
const MAX_DATA_BYTES = 32 * 1024;
/** How much waits to be read before the session is held up. */
const HIGH_WATER_BYTES = 64 * 1024;

/** What a stream asks of its session. */
export interface StreamHost {
  /** Sends data; `sent` is called when it has left, or cannot. */
  send(stream: number, bytes: Buffer, fin: boolean, sent: (error?: Error | null) => void): void;
  /** The stream takes more again. */
  ready(stream: SpdyStream): void;
  /** The stream is no more; the peer is told unless it knows. */
  closed(stream: SpdyStream, knows: boolean): void;
}

type Writing = (error?: Error | null) => void;

/**
 * A stream of a session: a `Duplex`, of which each side can be ended alone. When the peer gives it up with `CANCEL`, what had come is read
 * to its end and writing fails with `EPIPE`: servers of Kubernetes give up so what is left when all is said (k8s.io/apimachinery,
 * pkg/util/httpstream/spdy). What ends otherwise errors.
 */
export class SpdyStream extends Duplex {
  readonly id: number;
  /** What it was opened with. */
  readonly headers: SpdyHeaders;
  readonly #host: StreamHost;
  #hasEnded = false;
  #givenUp: SpdyError | undefined;
  #writing: Writing | undefined;

  /** @internal */
  constructor(host: StreamHost, id: number, headers: SpdyHeaders) {
    super({ readableHighWaterMark: HIGH_WATER_BYTES, writableHighWaterMark: MAX_DATA_BYTES });
    this.#host = host;
    this.id = id;
    this.headers = headers;
    // It may fail before anybody had time to listen, and whether a peer does so must not decide over this process.
    this.on('error', () => undefined);
  }

  /** Whether the peer has given it up. */
  get isGivenUp(): boolean {
    return this.#givenUp !== undefined;
  }

  /**
   * What the peer sent; `false` when it is to wait.
   *
   * @internal
   */
  receive(bytes: Buffer): boolean {
    return this.destroyed || bytes.length === 0 || this.push(bytes);
  }

  /** @internal Whether the peer has said all. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** @internal The peer says no more. */
  receiveEnd(): void {
    if (this.#hasEnded || this.destroyed) return;
    this.#hasEnded = true;
    this.push(null);
  }

  /** @internal The peer neither reads nor writes any more; what it has written is still to be read. */
  giveUp(error: SpdyError): void {
    if (this.#givenUp !== undefined || this.destroyed) return;
    this.#givenUp = error;
    this.receiveEnd();
    const writing = this.#writing;
    if (writing !== undefined) writing(error);
    else if (this.readableEnded) this.destroy();
    else this.once('end', () => this.destroy());
  }

  override _read(): void {
    this.#host.ready(this);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Writing): void {
    this.#send(chunk, false, done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: Writing): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), false, done);
  }

  override _final(done: Writing): void {
    // Nobody is left to be told.
    if (this.#givenUp !== undefined) done();
    else this.#send(Buffer.alloc(0), true, done);
  }

  override _destroy(error: Error | null, done: Writing): void {
    const isOver = this.#hasEnded && this.writableFinished;
    this.#host.closed(this, isOver || this.#givenUp !== undefined);
    this.#writing?.(error ?? new SpdyError('ERR_SPDY_CLOSED', 'the stream was closed'));
    done(error);
  }

  #send(bytes: Buffer, fin: boolean, done: Writing): void {
    if (this.#givenUp !== undefined) {
      done(this.#givenUp);
      return;
    }
    const settle: Writing = (error) => {
      if (this.#writing !== settle) return;
      this.#writing = undefined;
      done(error);
    };
    this.#writing = settle;
    const piece = bytes.subarray(0, MAX_DATA_BYTES);
    this.#host.send(this.id, piece, fin, (error) => {
      if (this.#writing !== settle) return;
      if (error) settle(error);
      else if (piece.length === bytes.length) settle();
      else {
        this.#writing = undefined;
        this.#send(bytes.subarray(piece.length), fin, done);
      }
    });
  }
}

/** What a stream that was given up says to those who write. */
export const givenUp = (status: number): SpdyError =>
  status === RESET.REFUSED_STREAM
    ? new SpdyError('ERR_SPDY_REFUSED', 'the peer refused the stream')
    : new SpdyError(
        status === RESET.CANCEL ? 'EPIPE' : 'ECONNRESET',
        `the peer gave the stream up (status ${status})`,
      );
