import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ChannelSocket } from './channel-socket.js';
import { isRecyclable, recycle } from './data-packets.js';

/** Bytes that may wait in our process for the kernel before channels have to wait. */
const WRITABLE_HIGH_WATER_MARK_BYTES = 64 * 1024;

/** A packet of up to this size that is the first of its turn does not wait for others, so that sshd wakes up while we go on. */
const URGENT_BYTES = 1024;

/** More packets than this in one turn are traffic of many channels: sshd is awake, and does more at once when it reads more at once. */
const MAX_PACKETS_OF_QUIET_TURN = 2;

/** Turns of one round of the event loop leave together up to this size; a bulk write does not wait for others. */
const SMALL_TURNS_BYTES = 16 * 1024;

/**
 * Bytes that may wait at most. Channels wait long before that; what can pile up is answers to a node that asks without end and does not
 * read them.
 */
const MAX_WAITING_BYTES = 1024 * 1024;

/** A TCP socket, or a stream through another node. */
export type ByteStream = Duplex & Pick<Socket, 'connecting' | 'bytesRead' | 'bytesWritten'>;

/**
 * What an SSH connection stands on. Packets written to its stream in one turn of the event loop leave in one system call: ssh2 makes one
 * write per packet, without its native addon three. So do the small turns that follow in the same round of the loop, which serves one after
 * the other all sockets on which something has come: those of a proxy's clients each cause a turn of their own.
 */
export class Transport {
  /** For ssh2, which writes buffers and waits for nothing. */
  readonly stream: ByteStream;
  /** Calls back when what carries the stream has carried all that was sent before, if something does. */
  readonly whenCarried: ((done: () => void) => void) | undefined;
  readonly #write: (chunk: Uint8Array, onFlushed: (error?: Error | null) => void) => boolean;
  #packetsOfTurn = 0;
  #lastTurnWasQuiet = true;
  /** Whether a turn has ended in this round of the event loop. */
  #isInRound = false;
  #accepted = 0;
  readonly #waitingForFlush: { readonly accepted: number; readonly done: () => void }[] = [];
  #remoteEnded = false;

  /** @param stream - connected, or connecting already; its `write` and `push` are replaced */
  private constructor(stream: ByteStream, whenCarried?: (done: () => void) => void) {
    this.stream = stream;
    this.whenCarried = whenCarried;
    this.#write = stream.write.bind(stream);
    stream.write = (chunk: Uint8Array) => this.#accept(chunk);
    const push = stream.push.bind(stream);
    stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (chunk === null) this.#remoteEnded = true;
      return push(chunk, encoding);
    };
  }

  /** Begins to connect by TCP; the stream's `connect`, `error` and `close` tell how it went. */
  static connect(host: string, port: number): Transport {
    const socket = new Socket({ writableHighWaterMark: WRITABLE_HIGH_WATER_MARK_BYTES } as object);
    socket.setNoDelay(true);
    // Before its `write` is replaced, because it puts its own on the object.
    socket.connect({ host, port });
    return new Transport(socket);
  }

  /** On a stream through another node. */
  static over(stream: ChannelSocket): Transport {
    return new Transport(stream, (done) => stream.channel.whenRead(done));
  }

  /** Bytes handed to `write` so far. */
  get accepted(): number {
    return this.#accepted;
  }

  /**
   * Whether what is written now goes out soon. When the peer has sent FIN, or the stream is destroyed, ssh2 drops without a word what is
   * written.
   */
  get takesMore(): boolean {
    return !this.stream.writableNeedDrain && !this.#remoteEnded && !this.stream.destroyed;
  }

  /** Calls back when everything written so far has left the process; not at all when the stream dies before. */
  whenFlushed(done: () => void): void {
    if (this.stream.destroyed) return;
    if (this.stream.writableLength === 0) done();
    else this.#waitingForFlush.push({ accepted: this.#accepted, done });
  }

  #accept(chunk: Uint8Array): boolean {
    const { stream } = this;
    const isFirst = this.#packetsOfTurn === 0;
    this.#packetsOfTurn += 1;
    if (isFirst) process.nextTick(this.#endTurn);
    const isUrgent = isFirst && this.#lastTurnWasQuiet && !this.#isInRound && chunk.length <= URGENT_BYTES;
    if (!stream.writableCorked && !isUrgent) stream.cork();
    if (stream.writableLength > MAX_WAITING_BYTES) {
      stream.destroy(new Error('the node does not read the answers that it asks for'));
      return false;
    }
    this.#accepted += chunk.length;
    return this.#write(
      chunk,
      isRecyclable(chunk) ? (error) => this.#onFlushed(error, chunk) : this.#onFlushed,
    );
  }

  readonly #endTurn = (): void => {
    this.#lastTurnWasQuiet = this.#packetsOfTurn <= MAX_PACKETS_OF_QUIET_TURN;
    this.#packetsOfTurn = 0;
    if (this.#isInRound && this.stream.writableLength < SMALL_TURNS_BYTES) return;
    this.stream.uncork();
    if (this.#isInRound) return;
    this.#isInRound = true;
    setImmediate(this.#endRound);
  };

  readonly #endRound = (): void => {
    this.#isInRound = false;
    this.stream.uncork();
  };

  readonly #onFlushed = (error?: Error | null, packet?: Uint8Array): void => {
    // Node reports what a destroyed socket has kept as written.
    if (error || this.stream.destroyed) return;
    if (packet !== undefined) recycle(packet);
    const flushed = this.#accepted - this.stream.writableLength;
    for (;;) {
      const [first] = this.#waitingForFlush;
      if (first === undefined || first.accepted > flushed) return;
      this.#waitingForFlush.shift();
      first.done();
    }
  };
}
