import type { Dialer } from '../dialer.js';
import { TransportError, asError } from '../errors.js';
import { SocketLike } from '../socket-like.js';
import type { TunnelSocket } from '../dialer.js';

type WriteCallback = (error?: Error | null) => void;

export interface PendingSocketOptions {
  dialer: Dialer;
  host: string;
  port: number;
  /** Name of the node that must carry the dial. */
  node?: string | undefined;
  /** Deadline of the dial in milliseconds. Default: the dialer's. */
  timeoutMs?: number | undefined;
  /** As in `node:net`: whether our side stays open when the endpoint has ended its own. Default: `false`. */
  allowHalfOpen?: boolean | undefined;
}

/** A write, or the end of writing, that waits for the dial. */
interface Parked {
  readonly run: (tunnel: TunnelSocket) => void;
  readonly fail: WriteCallback;
}

/**
 *     dialling ──dial resolves──▶ open
 *        └────────destroy()──────▶ │ ──destroy()──▶ closed
 */
type State =
  | { readonly name: 'dialling'; readonly dial: AbortController; parked?: Parked }
  | { readonly name: 'open'; readonly tunnel: TunnelSocket }
  | { readonly name: 'closed' };

/**
 * A socket that is still being dialled, as a `net.Socket` is after `net.connect`: it can be written to, timed
 * and destroyed from the start. It emits `connect` when the dial resolves, fails with the dial's error when
 * it rejects, and gives the dial up when destroyed.
 *
 * Node's agents need this. One that gets its sockets later through a callback counts them only then, so that
 * `maxSockets` does not hold, and nothing tells it that the request was aborted meanwhile.
 */
export class PendingSocket extends SocketLike {
  #state: State = { name: 'dialling', dial: new AbortController() };

  constructor(options: PendingSocketOptions) {
    super({ allowHalfOpen: options.allowHalfOpen ?? false });
    void this.#dial(options);
  }

  /** Whether the dial is still under way. */
  get connecting(): boolean {
    return this.#state.name === 'dialling';
  }

  get pending(): boolean {
    return this.connecting;
  }

  /**
   * Whether another request may use this socket: its stream is open in both directions, as far as is known
   * now.
   */
  get isReusable(): boolean {
    if (this.#state.name !== 'open' || this.destroyed) return false;
    const { readable, writable } = this.#state.tunnel;
    return readable && writable;
  }

  /** Whether the stream was lost, which this socket is only about to hear of. */
  get isLost(): boolean {
    const tunnel = this.#tunnel;
    if (tunnel === undefined) return false;
    return tunnel.errored !== null || (tunnel.destroyed && !tunnel.readableEnded);
  }

  /** Name of the node that carries the stream; `undefined` until `connect`. */
  get node(): string | undefined {
    return this.#tunnel?.node;
  }

  get remoteAddress(): string | undefined {
    return this.#tunnel?.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#tunnel?.remotePort;
  }

  get remoteFamily(): string | undefined {
    return this.#tunnel?.remoteFamily;
  }

  get bytesRead(): number {
    return this.#tunnel?.bytesRead ?? 0;
  }

  get bytesWritten(): number {
    return (this.#tunnel?.bytesWritten ?? 0) + this.writableLength;
  }

  override get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    return this.connecting ? 'opening' : super.readyState;
  }

  /** Takes `unref` back. */
  ref(): this {
    this.#tunnel?.ref();
    return this;
  }

  /** Lets the dialer's `close()` go ahead without waiting for this socket. */
  unref(): this {
    this.#tunnel?.unref();
    return this;
  }

  override _read(): void {
    this.#tunnel?.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#whenOpen(callback, (tunnel) => tunnel.write(chunk, this.#written(callback)));
  }

  override _writev(items: { chunk: Buffer; encoding: BufferEncoding }[], callback: WriteCallback): void {
    this.#whenOpen(callback, (tunnel) => {
      tunnel.cork();
      for (const { chunk } of items.slice(0, -1)) tunnel.write(chunk);
      for (const { chunk } of items.slice(-1)) tunnel.write(chunk, this.#written(callback));
      tunnel.uncork();
    });
  }

  override _final(callback: WriteCallback): void {
    this.#whenOpen(callback, (tunnel) => tunnel.end(this.#written(callback)));
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const state = this.#state;
    this.#state = { name: 'closed' };
    if (state.name === 'open') state.tunnel.destroy(error ?? undefined);
    if (state.name === 'dialling') {
      state.dial.abort(error ?? undefined);
      state.parked?.fail(error ?? this.#lost('the socket was destroyed before it was connected'));
    }
    super._destroy(error, callback);
  }

  /** What the user of this socket is told when its stream fails. */
  protected streamError(error: Error): Error {
    return error;
  }

  get #tunnel(): TunnelSocket | undefined {
    return this.#state.name === 'open' ? this.#state.tunnel : undefined;
  }

  async #dial({ dialer, host, port, node, timeoutMs }: PendingSocketOptions): Promise<void> {
    if (this.#state.name !== 'dialling') return;
    const { signal } = this.#state.dial;
    try {
      // Which side ends when is decided here: the tunnel must take what is still buffered after the endpoint
      // has ended.
      this.#opened(await dialer.dial(host, port, { node, signal, timeoutMs, allowHalfOpen: true }));
    } catch (error) {
      this.destroy(asError(error));
    }
  }

  #opened(tunnel: TunnelSocket): void {
    tunnel.on('error', (error) => this.destroy(this.streamError(error)));
    if (this.#state.name !== 'dialling') {
      tunnel.destroy();
      return;
    }
    const { parked } = this.#state;
    this.#state = { name: 'open', tunnel };
    this.noteTraffic();
    tunnel.on('data', (chunk: Buffer) => {
      this.noteTraffic();
      if (!this.push(chunk)) tunnel.pause();
    });
    tunnel.on('end', () => this.push(null));
    tunnel.on('close', () => {
      if (!tunnel.readableEnded) this.destroy(this.#lost('the stream was closed'));
    });
    parked?.run(tunnel);
    this.emit('connect');
    this.emit('ready');
  }

  #whenOpen(fail: WriteCallback, run: (tunnel: TunnelSocket) => void): void {
    if (this.#state.name === 'open') run(this.#state.tunnel);
    else if (this.#state.name === 'dialling') this.#state.parked = { run, fail };
    else fail(this.#lost('the socket is closed'));
  }

  #written(callback: WriteCallback): WriteCallback {
    return (error) => {
      this.noteTraffic();
      callback(error && this.streamError(error));
    };
  }

  #lost(message: string): Error {
    return this.streamError(new TransportError('ECONNRESET', message, { node: this.node }));
  }
}
