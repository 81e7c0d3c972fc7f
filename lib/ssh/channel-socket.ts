import { isIPv4, isIPv6 } from 'node:net';
import { ClosedError, EndpointError, type TunnelError } from '../errors.js';
import type { TunnelSocket } from '../dialer.js';
import { SocketLike } from '../socket-like.js';
import type { Channel, ChannelListener } from './channel.js';
import { isolate } from './isolate.js';
import { KeptChunks } from './kept-chunks.js';

/** Writes that came together leave as one packet up to this size, ssh2's own limit. */
const JOINED_WRITES_BYTES = 32 * 1024;

export interface ChannelSocketOptions {
  /** Name of the node that carries the stream. */
  node: string;
  /** The endpoint as it was dialled. */
  host: string;
  port: number;
  allowHalfOpen: boolean;
  /** Makes the channel that the socket stands on, which reports to `listener`. */
  channel: (listener: ChannelListener) => Channel;
  /** Why the connection was lost, or `undefined` while it is up. */
  connectionError: () => TunnelError | undefined;
}

type WriteCallback = (error?: Error | null) => void;

/** A {@link TunnelSocket} on a channel. */
export class ChannelSocket extends SocketLike implements TunnelSocket {
  /** Name of the node that carries the stream. */
  readonly node: string;
  /** The endpoint's host as it was dialled; a DNS name is resolved on the node. */
  readonly remoteAddress: string;
  /** The endpoint's port. */
  readonly remotePort: number;
  /** `IPv4` or `IPv6`; `undefined` when a name was dialled. */
  get remoteFamily(): 'IPv4' | 'IPv6' | undefined {
    return isIPv4(this.remoteAddress) ? 'IPv4' : isIPv6(this.remoteAddress) ? 'IPv6' : undefined;
  }

  /** Always `false`: a dial resolves with an open stream. */
  readonly connecting = false;
  /** Always `false`: a dial resolves with an open stream. */
  readonly pending = false;

  /** What it stands on. */
  readonly channel: Channel;
  readonly #connectionError: () => TunnelError | undefined;
  #bytesRead = 0;
  #bytesWritten = 0;
  #endReceived = false;
  /** Whether the reader has asked for more than it was given. */
  #asked = true;
  readonly #kept = new KeptChunks();
  #flush: NodeJS.Immediate | undefined;
  #channelClosed = false;
  #idle = false;
  /** Of the write, or the end of writing, that is under way. */
  #inFlight: WriteCallback | undefined;

  constructor(options: ChannelSocketOptions) {
    super({ allowHalfOpen: options.allowHalfOpen });
    this.node = options.node;
    this.remoteAddress = options.host;
    this.remotePort = options.port;
    this.#connectionError = options.connectionError;
    this.channel = options.channel({
      onData: (chunk) => this.#receive(chunk),
      onEnd: () => this.#receiveEnd(),
      onClosed: () => this.#channelGone(),
    });
  }

  /** Bytes that have arrived. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Bytes that have been handed to the connection or wait for it. */
  get bytesWritten(): number {
    return this.#bytesWritten + this.writableLength;
  }

  /** Takes `unref` back. */
  ref(): this {
    return this.#setIdle(false);
  }

  /**
   * Lets the dialer's `close()` go ahead without waiting for this stream; `http.Agent` does it with sockets kept for later. Unlike a
   * `net.Socket`'s it says nothing to the process, which the connection keeps running until the dialer is closed.
   */
  unref(): this {
    return this.#setIdle(true);
  }

  override _read(): void {
    this.#asked = true;
    this.#flushKept();
    this.channel.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#writeInTurn([chunk], chunk.length, callback);
  }

  override _writev(items: { chunk: Buffer; encoding: BufferEncoding }[], callback: WriteCallback): void {
    const chunks = items.map(({ chunk }) => chunk);
    const bytes = chunks.reduce((sum, { length }) => sum + length, 0);
    this.#writeInTurn(joined(chunks), bytes, callback);
  }

  override _final(callback: WriteCallback): void {
    if (this.#channelClosed) {
      callback();
      return;
    }
    this.#inFlight = callback;
    this.channel.end(() => this.#settleWrite());
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearImmediate(this.#flush);
    this.channel.close();
    if (this.#inFlight !== undefined) this.#settleWrite(error ?? this.#destroyedError());
    super._destroy(error, callback);
  }

  #setIdle(idle: boolean): this {
    this.#idle = idle;
    this.channel.setIdle(idle);
    return this;
  }

  #writeInTurn(chunks: readonly Buffer[], bytes: number, callback: WriteCallback): void {
    if (this.#channelClosed) {
      callback(this.#closedError());
      return;
    }
    this.#inFlight = callback;
    let index = 0;
    const next = (): void => {
      this.noteTraffic();
      const chunk = chunks[index];
      index += 1;
      if (chunk !== undefined) {
        this.channel.write(chunk, next);
        return;
      }
      this.#bytesWritten += bytes;
      this.#settleWrite();
    };
    next();
  }

  #settleWrite(error?: Error): void {
    const callback = this.#inFlight;
    this.#inFlight = undefined;
    if (callback !== undefined) isolate(() => callback(error));
  }

  #receive(chunk: Buffer): boolean {
    this.#bytesRead += chunk.length;
    this.noteTraffic();
    // A small chunk is a view on the packet buffer of the whole connection, and would keep all of it in memory while it waits to be read:
    // 64 bytes have been seen to hold 64 KiB.
    const isSmall = chunk.length * 4 < chunk.buffer.byteLength;
    if (isSmall && (this.readableLength > 0 || !this.#asked)) {
      this.#kept.keep(chunk);
      if (this.#asked) this.#flushSoon();
    } else {
      this.#flushKept();
      this.#push(isSmall ? exactCopy(chunk) : chunk);
    }
    return this.#asked;
  }

  /** What arrives in one turn of the event loop while the reader is behind goes to it in one piece. */
  #flushSoon(): void {
    this.#flush ??= setImmediate(() => this.#flushKept());
  }

  #flushKept(): void {
    clearImmediate(this.#flush);
    this.#flush = undefined;
    for (const chunk of this.#kept.take()) this.#push(chunk);
  }

  #push(chunk: Buffer): void {
    isolate(() => {
      if (!this.push(chunk)) this.#asked = false;
    });
  }

  #receiveEnd(): void {
    this.#endReceived = true;
    this.#flushKept();
    isolate(() => this.push(null));
  }

  /**
   * After end-of-file what was read is complete: the reader may finish, as long as nothing that was written is lost and nobody waits for
   * the other direction.
   */
  #channelGone(): void {
    this.#channelClosed = true;
    const losesWrites = this.#inFlight !== undefined || this.writableLength > 0;
    const couldStillWrite = this.allowHalfOpen && !this.writableEnded;
    if (this.#endReceived && !losesWrites && !couldStillWrite) return;
    const error = this.#closedError();
    // Only idle streams see the end of a connection that was closed on purpose, and nobody waits for them.
    if (this.#idle && error instanceof ClosedError) this.destroy();
    else if (!this.#endReceived || losesWrites || !(error instanceof EndpointError)) this.destroy(error);
  }

  #closedError(): TunnelError {
    return (
      this.#connectionError() ??
      new EndpointError(
        'ECONNRESET',
        `${this.remoteAddress}:${this.remotePort} closed the stream through ${this.node}`,
        this.#context(),
      )
    );
  }

  #destroyedError(): TunnelError {
    return new EndpointError(
      'ECONNRESET',
      'the socket was destroyed before this was written',
      this.#context(),
    );
  }

  #context(): { node: string; host: string; port: number } {
    return { node: this.node, host: this.remoteAddress, port: this.remotePort };
  }
}

/** Joins what is small with what follows it, up to a packet's size. */
function joined(chunks: readonly Buffer[]): Buffer[] {
  const groups: Buffer[] = [];
  let group: Buffer[] = [];
  let bytes = 0;
  const flush = (): void => {
    const [only] = group;
    if (only !== undefined) groups.push(group.length === 1 ? only : Buffer.concat(group, bytes));
    group = [];
    bytes = 0;
  };
  for (const chunk of chunks) {
    if (bytes + chunk.length > JOINED_WRITES_BYTES) flush();
    group.push(chunk);
    bytes += chunk.length;
  }
  flush();
  return groups;
}

/** Not from Node's own pool, which a single byte would keep in memory. */
function exactCopy(chunk: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(chunk.length);
  chunk.copy(copy);
  return copy;
}
