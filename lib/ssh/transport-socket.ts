import { Socket } from 'node:net';

/** Bytes that may wait in our process for the kernel before channels have to wait. */
const WRITABLE_HIGH_WATER_MARK_BYTES = 64 * 1024;

/** A packet of up to this size that is the first of its turn does not wait for others: sshd wakes up while we go on. */
const URGENT_BYTES = 1024;

/**
 * Bytes that may wait at most. Channels wait long before that; what can pile up is answers to a node that asks without end and does not
 * read them.
 */
const MAX_WAITING_BYTES = 1024 * 1024;

/**
 * The TCP socket of an SSH connection. Packets written in one turn of the event loop leave in one system call: ssh2 makes one write per
 * packet, without its native addon three.
 */
export class TransportSocket extends Socket {
  #turnHasWrites = false;
  #accepted = 0;
  readonly #waitingForFlush: { readonly accepted: number; readonly done: () => void }[] = [];
  #remoteEnded = false;

  constructor() {
    super({ writableHighWaterMark: WRITABLE_HIGH_WATER_MARK_BYTES } as object);
    this.setNoDelay(true);
  }

  /** Begins to connect; `connect`, `error` and `close` tell how it went. */
  open(host: string, port: number): void {
    this.connect({ host, port });
    // `net.Socket.connect` puts its own `write` on the object, over ours.
    Reflect.deleteProperty(this, 'write');
  }

  /** Bytes handed to `write` so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /**
   * Whether what is written now goes out soon. When the peer has sent FIN, or the socket is destroyed, ssh2 drops without a word what is
   * written.
   */
  get takesMore(): boolean {
    return !this.writableNeedDrain && !this.#remoteEnded && !this.destroyed;
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (chunk === null) this.#remoteEnded = true;
    return super.push(chunk, encoding);
  }

  /** For ssh2, which writes buffers and waits for nothing. */
  override write(chunk: Uint8Array): boolean {
    const isFirst = !this.#turnHasWrites;
    if (isFirst) {
      this.#turnHasWrites = true;
      process.nextTick(this.#endTurn);
    }
    if (!this.writableCorked && !(isFirst && chunk.length <= URGENT_BYTES)) this.cork();
    if (this.writableLength > MAX_WAITING_BYTES) {
      this.destroy(new Error('the node does not read the answers that it asks for'));
      return false;
    }
    this.#accepted += chunk.length;
    return super.write(chunk, this.#onFlushed);
  }

  /** Calls back when everything written so far has left the process; not at all when the socket dies before. */
  whenFlushed(done: () => void): void {
    if (this.destroyed) return;
    if (this.writableLength === 0) done();
    else this.#waitingForFlush.push({ accepted: this.#accepted, done });
  }

  readonly #endTurn = (): void => {
    this.#turnHasWrites = false;
    this.uncork();
  };

  readonly #onFlushed = (error?: Error | null): void => {
    // Node reports what a destroyed socket has kept as written.
    if (error || this.destroyed) return;
    const flushed = this.#accepted - this.writableLength;
    for (;;) {
      const [first] = this.#waitingForFlush;
      if (first === undefined || first.accepted > flushed) return;
      this.#waitingForFlush.shift();
      first.done();
    }
  };
}
