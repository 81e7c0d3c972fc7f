import { Duplex, type DuplexOptions } from 'node:stream';

const HIGH_WATER_MARK_BYTES = 64 * 1024;

/** A `Duplex` with what Node's clients call on a connected `net.Socket`, apart from what only its transport knows. */
export abstract class SocketLike extends Duplex {
  #idleTimer: NodeJS.Timeout | undefined;
  #idleTimeoutMs = 0;

  /** @internal */
  constructor(options: Pick<DuplexOptions, 'allowHalfOpen'>) {
    super({
      ...options,
      readableHighWaterMark: HIGH_WATER_MARK_BYTES,
      writableHighWaterMark: HIGH_WATER_MARK_BYTES,
    });
  }

  /** The idle time in milliseconds set by `setTimeout`; 0 is none. */
  get timeout(): number {
    return this.#idleTimeoutMs;
  }

  /** As in `node:net`. */
  get readyState(): 'opening' | 'open' | 'readOnly' | 'writeOnly' | 'closed' {
    if (this.readable) return this.writable ? 'open' : 'readOnly';
    return this.writable ? 'writeOnly' : 'closed';
  }

  /** Emits `timeout` after `timeoutMs` without traffic, and does nothing else, as `net.Socket` does. 0 turns it off. */
  setTimeout(timeoutMs: number, callback?: () => void): this {
    this.#idleTimeoutMs = timeoutMs;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = undefined;
    if (timeoutMs > 0 && !this.destroyed) {
      this.#idleTimer = setTimeout(() => this.emit('timeout'), timeoutMs).unref();
    }
    if (callback !== undefined) {
      if (timeoutMs > 0) this.once('timeout', callback);
      else this.off('timeout', callback);
    }
    return this;
  }

  /** Does nothing: the connection is always without delay. */
  setNoDelay(_noDelay?: boolean): this {
    return this;
  }

  /** Does nothing: liveness is the connection's matter. */
  setKeepAlive(_enable?: boolean, _initialDelayMs?: number): this {
    return this;
  }

  /** There is no local address: the socket is a channel, not a TCP connection. */
  address(): Record<string, never> {
    return {};
  }

  /** Destroys once what was written has left, as in `node:net`. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  /** A channel cannot send RST: the same as `destroy()`. */
  resetAndDestroy(): this {
    return this.destroy();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearTimeout(this.#idleTimer);
    callback(error);
  }

  /** Notes traffic. */
  protected noteTraffic(): void {
    this.#idleTimer?.refresh();
  }
}
