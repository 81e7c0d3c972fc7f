import type { Duplex } from 'node:stream';
import { protocolError, SpdyError } from './errors.js';
import { FrameReader, type Frame } from './frame-reader.js';
import { dataHead, goAway, GONE, ping, RESET, rstStream, synReply, synStream } from './frames.js';
import { HeaderWriter, type SpdyHeaders } from './header-block.js';
import { Outbox, type Sent } from './outbox.js';
import { givenUp, SpdyStream, type StreamHost } from './stream.js';

/** Takes a stream that the peer has opened. */
export type TakeStream = (stream: SpdyStream) => void;

/** What a session is made with. */
export interface SpdySessionOptions {
  /** Who made the connection is the client. */
  readonly side: 'client' | 'server';
  /** Judges a stream that the peer wants to open by its headers: returns what takes it. Default: every stream is refused. */
  readonly accept?: ((headers: SpdyHeaders) => TakeStream | undefined) | undefined;
  /** Streams that are open at a time; more are refused. Default: 256. */
  readonly maxStreams?: number | undefined;
}

/** A stream that waits for the peer's answer. */
interface Opening {
  readonly stream: SpdyStream;
  readonly resolve: (stream: SpdyStream) => void;
  readonly reject: (reason: unknown) => void;
}

const DEFAULT_MAX_STREAMS = 256;
const LAST_ID = 0x7fffffff;

/**
 * A session of SPDY/3.1 as Kubernetes speaks it (github.com/moby/spdystream): streams with headers on one connection, without the windows
 * of flow control, without pushed streams, settings and priorities, which are overlooked where a peer sends them. In place of windows the
 * connection as a whole waits for its slowest stream: read all, or `resume()` what is not wanted.
 */
export class SpdySession {
  /** Resolves when the connection is closed. */
  readonly closed: Promise<void>;
  readonly #socket: Duplex;
  readonly #options: SpdySessionOptions;
  readonly #outbox: Outbox;
  readonly #reader = new FrameReader((frame) => this.#take(frame));
  readonly #headers = new HeaderWriter();
  readonly #streams = new Map<number, SpdyStream>();
  readonly #opening = new Map<number, Opening>();
  /** Streams that take no more for now. */
  readonly #full = new Set<SpdyStream>();
  readonly #maxStreams: number;
  readonly #firstId: 1 | 2;
  #nextId: number;
  #lastPeerId = 0;
  #pingId: number;
  #isPinging = false;
  #state: 'open' | 'closing' | 'over' = 'open';
  readonly #host: StreamHost = {
    send: (stream, bytes, fin, sent) => this.#send([dataHead(stream, bytes.length, fin), bytes], sent),
    ready: (stream) => this.#ready(stream),
    closed: (stream, knows) => this.#forget(stream, knows),
  };

  /**
   * Goes on with a connection that was upgraded; what came behind the head of the upgrade has to be put back with `unshift`. The session
   * owns the connection from here on.
   */
  constructor(socket: Duplex, options: SpdySessionOptions) {
    this.#socket = socket;
    this.#outbox = new Outbox(socket);
    this.#options = options;
    this.#maxStreams = options.maxStreams ?? DEFAULT_MAX_STREAMS;
    this.#firstId = options.side === 'client' ? 1 : 2;
    this.#nextId = this.#pingId = this.#firstId;
    let failure: Error | undefined;
    socket.on('error', (error) => (failure = error));
    socket.on('end', () => this.#lose('the peer ended the connection'));
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    // It may have been paused behind the head of the upgrade.
    socket.resume();
    this.closed = new Promise((resolve) => {
      const over = (): void => {
        this.#lose('the connection was lost', failure);
        resolve();
      };
      if (socket.closed) over();
      else socket.once('close', over);
    });
  }

  /** Whether nothing is read because a stream takes no more for now; the end of the connection is not seen then. */
  get isHeldUp(): boolean {
    return this.#full.size > 0;
  }

  /**
   * Opens a stream; resolves when the peer has taken it. Streams that are opened one after the other reach the peer in that order, without
   * waiting for each other.
   *
   * @throws {@link SpdyError} `ERR_SPDY_REFUSED`, `ECONNRESET`, `ERR_SPDY_CLOSED`, `ERR_SPDY_PROTOCOL`, or the signal's reason
   */
  open(headers: SpdyHeaders, { signal }: { readonly signal?: AbortSignal } = {}): Promise<SpdyStream> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#state !== 'open' || this.#nextId > LAST_ID)
        throw new SpdyError('ERR_SPDY_CLOSED', 'no more streams can be opened: the session is closed');
      if (this.#streams.size >= this.#maxStreams)
        throw new SpdyError(
          'ERR_SPDY_REFUSED',
          `no more than ${this.#maxStreams} streams can be open at once`,
        );
      const stream = new SpdyStream(this.#host, this.#nextId, headers);
      const abort = (): void => this.#answered(stream.id)?.reject(signal?.reason);
      const settled = (): void => signal?.removeEventListener('abort', abort);
      this.#opening.set(stream.id, {
        stream,
        resolve: (taken) => {
          settled();
          resolve(taken);
        },
        reject: (reason) => {
          settled();
          reject(reason);
          stream.destroy();
        },
      });
      signal?.addEventListener('abort', abort);
      this.#streams.set(stream.id, stream);
      this.#nextId += 2;
      this.#send([synStream(stream.id, this.#headers.write(headers))]);
    });
  }

  /** Sends a ping, unless the last one has not left yet: a connection that is lost is noticed by writing to it. */
  ping(): void {
    if (this.#isPinging || this.#state === 'over') return;
    this.#isPinging = true;
    this.#send([ping(this.#pingId)], () => (this.#isPinging = false));
    this.#pingId = this.#pingId + 2 > LAST_ID ? this.#firstId : this.#pingId + 2;
  }

  /** Takes no more streams, and ends the connection when those that are open are over. Resolves when it is closed. */
  close(): Promise<void> {
    if (this.#state === 'open') {
      this.#state = 'closing';
      this.#send([goAway(this.#lastPeerId, GONE.OK)]);
      this.#endWhenIdle();
    }
    return this.closed;
  }

  /** Cuts the connection; streams that are open error. */
  destroy(error = new SpdyError('ERR_SPDY_CLOSED', 'the session was closed')): void {
    this.#end(error);
    this.#socket.destroy();
  }

  #read(bytes: Buffer): void {
    if (this.#state === 'over') return;
    try {
      this.#reader.read(bytes);
    } catch (error) {
      if (!(error instanceof SpdyError)) throw error;
      this.#send([goAway(this.#lastPeerId, GONE.PROTOCOL_ERROR)]);
      this.#end(error);
      this.#outbox.shutDown();
    }
  }

  #take(frame: Frame): void {
    // A frame before this one, in the same bytes, may have been the last.
    if (this.#state === 'over') return;
    switch (frame.type) {
      case 'data':
        this.#data(frame.stream, frame.bytes, frame.fin);
        break;
      case 'open':
        this.#opened(frame);
        break;
      case 'reply':
        if (frame.fin) this.#streams.get(frame.stream)?.receiveEnd();
        this.#replied(frame.stream);
        break;
      case 'headers':
        if (frame.fin) this.#streams.get(frame.stream)?.receiveEnd();
        break;
      case 'reset':
        this.#reset(frame.stream, frame.status);
        break;
      case 'ping':
        // What is ours came back.
        if (frame.id % 2 !== this.#firstId % 2) this.#answer(ping(frame.id));
        break;
      case 'go-away':
        this.#goneAway(frame.lastStream);
    }
  }

  #data(id: number, bytes: Buffer, fin: boolean): void {
    const stream = this.#streams.get(id);
    // One that we have given up, and the peer does not know yet.
    if (stream === undefined) return;
    if (stream.hasEnded) throw protocolError('data comes after the end of its stream');
    if (!stream.receive(bytes)) {
      this.#full.add(stream);
      this.#socket.pause();
    }
    if (fin) stream.receiveEnd();
  }

  #opened({ stream: id, headers, fin, unidirectional }: Extract<Frame, { type: 'open' }>): void {
    if (id % 2 === this.#firstId % 2 || id <= this.#lastPeerId)
      throw protocolError('a stream has a number that is not the next one');
    this.#lastPeerId = id;
    const isWelcome = this.#state === 'open' && !unidirectional && this.#streams.size < this.#maxStreams;
    const take = isWelcome ? this.#options.accept?.(headers) : undefined;
    if (take === undefined) this.#answer(rstStream(id, RESET.REFUSED_STREAM));
    else {
      const stream = new SpdyStream(this.#host, id, headers);
      this.#streams.set(id, stream);
      // Before anything that is written to it: spdystream drops what comes on a stream without a reply.
      this.#answer(synReply(id, this.#headers.write(new Map())));
      if (fin) stream.receiveEnd();
      take(stream);
    }
  }

  #replied(id: number): void {
    const opening = this.#answered(id);
    opening?.resolve(opening.stream);
  }

  #reset(id: number, status: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    const error = givenUp(status);
    const opening = this.#answered(id);
    if (status === RESET.CANCEL) stream.giveUp(error);
    else {
      this.#streams.delete(id);
      this.#ready(stream);
    }
    if (opening !== undefined) opening.reject(error);
    else if (status !== RESET.CANCEL) stream.destroy(error);
  }

  #goneAway(lastStream: number): void {
    if (this.#state === 'open') this.#state = 'closing';
    const error = new SpdyError('ERR_SPDY_CLOSED', 'the peer takes no more streams');
    for (const id of [...this.#opening.keys()]) if (id > lastStream) this.#answered(id)?.reject(error);
    this.#endWhenIdle();
  }

  #answered(id: number): Opening | undefined {
    const opening = this.#opening.get(id);
    this.#opening.delete(id);
    return opening;
  }

  #ready(stream: SpdyStream): void {
    if (this.#full.delete(stream) && this.#full.size === 0) this.#socket.resume();
  }

  #forget(stream: SpdyStream, knows: boolean): void {
    this.#answered(stream.id)?.reject(new SpdyError('ERR_SPDY_CLOSED', 'the stream was closed'));
    this.#ready(stream);
    if (this.#streams.delete(stream.id) && !knows) this.#answer(rstStream(stream.id, RESET.CANCEL));
    this.#endWhenIdle();
  }

  #answer(bytes: Buffer): void {
    if (this.#state !== 'over' && !this.#outbox.answer(bytes))
      this.destroy(protocolError('it asks for answers and does not read them'));
  }

  #send(parts: readonly Buffer[], sent?: Sent): void {
    if (this.#state !== 'over') this.#outbox.send(parts, sent);
    else sent?.(new SpdyError('ECONNRESET', 'the connection was lost'));
  }

  #endWhenIdle(): void {
    if (this.#state === 'closing' && this.#streams.size === 0) {
      this.#state = 'over';
      this.#outbox.shutDown();
    }
  }

  #lose(problem: string, cause?: Error): void {
    const wasOver = this.#state === 'over';
    this.#end(new SpdyError('ECONNRESET', problem, cause));
    if (!wasOver) this.#outbox.shutDown();
  }

  /** Streams that were said to their end are still to be read; all others error. */
  #end(error: SpdyError): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    for (const { reject } of [...this.#opening.values()]) reject(error);
    this.#opening.clear();
    for (const stream of [...this.#streams.values()]) {
      if (stream.hasEnded) stream.giveUp(error);
      else stream.destroy(error);
    }
    this.#streams.clear();
    this.#full.clear();
  }
}
