import { Socket } from 'node:net';

/** Bytes that may wait in our process for the kernel before channels have to wait. */
const WRITABLE_HIGH_WATER_MARK_BYTES = 64 * 1024;

/**
 * The TCP socket of an SSH connection. Packets written in one turn of the event loop leave in one system call: ssh2 makes one write per
 * packet, without its native addon three.
 */
export class TransportSocket extends Socket {
  #corked = false;
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

  /** Whether the peer has sent FIN. From then on ssh2 drops without a word what is written. */
  get remoteEnded(): boolean {
    return this.#remoteEnded;
  }

  override push(chunk: unknown, encoding?: BufferEncoding): boolean {
    if (chunk === null) this.#remoteEnded = true;
    return super.push(chunk, encoding);
  }

  override write(buffer: Uint8Array | string, callback?: (error?: Error | null) => void): boolean;
  override write(
    buffer: Uint8Array | string,
    encoding?: BufferEncoding,
    callback?: (error?: Error | null) => void,
  ): boolean;
  override write(...args: unknown[]): boolean {
    if (!this.#corked) {
      this.#corked = true;
      this.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.uncork();
      });
    }
    return super.write(...(args as [Uint8Array]));
  }
}
