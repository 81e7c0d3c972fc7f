import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/**
 * Bytes of one direction that the proxy itself holds before it stops reading. The kernel holds more on both
 * sides.
 */
const MAX_QUEUED_BYTES = 256 * 1024;
/** A throttled direction moves its bytes in so many pieces per second. */
const PIECES_PER_SECOND = 50;

/** One direction through the proxy, for all connections together, as on a network link. */
export class Direction {
  /** Bytes passed on so far. */
  bytes = 0;
  #bytesPerSecond = Infinity;
  #delayMs = 0;
  #paused = false;
  #freeAt = 0;
  readonly #pumps = new Set<Pump>();

  /** Lets so many bytes pass per second; `Infinity` ends it. */
  throttle(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    this.#freeAt = 0;
    this.#wake();
  }

  /** Holds what arrives from now on for so long; the rate stays. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Nothing passes any more, neither bytes nor the end: a black hole. */
  pause(): void {
    this.#paused = true;
    this.#wake();
  }

  /** Ends the pause. What was held back follows. */
  resume(): void {
    this.#paused = false;
    this.#wake();
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** When something that arrives now may leave, on the clock of `performance`. */
  dueNow(): number {
    return performance.now() + this.#delayMs;
  }

  /** How long the link is taken by what has passed already, in milliseconds. */
  busyMs(): number {
    return this.#freeAt - performance.now();
  }

  /** Takes the link for the first piece of some bytes and says how long that piece is. */
  takePiece(available: number): number {
    const size = Math.min(available, Math.ceil(this.#bytesPerSecond / PIECES_PER_SECOND));
    this.#freeAt = Math.max(this.#freeAt, performance.now()) + (size / this.#bytesPerSecond) * 1000;
    this.bytes += size;
    return size;
  }

  add(pump: Pump): void {
    this.#pumps.add(pump);
  }

  remove(pump: Pump): void {
    this.#pumps.delete(pump);
  }

  #wake(): void {
    for (const pump of this.#pumps) pump.run();
  }
}

/** Moves the bytes, and the end, of one connection in one direction. */
class Pump {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #direction: Direction;
  readonly #queue: { data: Buffer | 'end'; due: number }[] = [];
  #queuedBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(from: Socket, to: Socket, direction: Direction) {
    this.#from = from;
    this.#to = to;
    this.#direction = direction;
    direction.add(this);
    from.on('data', (data: Buffer) => this.#take(data));
    from.once('end', () => this.#take('end'));
    to.on('drain', () => this.run());
    this.run();
  }

  /** Moves what may move now, and sees to it that the rest is looked at in time. */
  run(): void {
    clearTimeout(this.#timer);
    while (!this.#stopped && !this.#direction.paused && !this.#to.writableNeedDrain) {
      const head = this.#queue[0];
      if (head === undefined) break;
      const waitMs = Math.max(head.due - performance.now(), this.#direction.busyMs());
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.run(), Math.ceil(waitMs));
        break;
      }
      this.#send(head);
    }
    if (this.#direction.paused || this.#queuedBytes > MAX_QUEUED_BYTES) this.#from.pause();
    else this.#from.resume();
  }

  /** Moves nothing more. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#direction.remove(this);
  }

  #take(data: Buffer | 'end'): void {
    if (this.#stopped) return;
    this.#queue.push({ data, due: this.#direction.dueNow() });
    if (data !== 'end') this.#queuedBytes += data.length;
    this.run();
  }

  #send(head: { data: Buffer | 'end' }): void {
    if (head.data === 'end') {
      this.#queue.shift();
      this.#to.end();
      return;
    }
    const size = this.#direction.takePiece(head.data.length);
    this.#to.write(head.data.subarray(0, size));
    this.#queuedBytes -= size;
    if (size === head.data.length) this.#queue.shift();
    else head.data = head.data.subarray(size);
  }
}

/** A socket that is just being shut down cannot be reset: libuv refuses to, and Node then waits for its end for ever. */
function reset(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}

/** One connection through the proxy. */
interface Link {
  readonly client: Socket;
  readonly server: Socket;
  readonly pumps: readonly Pump[];
}

/** A TCP proxy on loopback that does to its connections what networks do. */
export interface FaultProxy extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** From the client to the server. */
  readonly up: Direction;
  /** From the server to the client. */
  readonly down: Direction;
  /** Connections that are open on both sides. */
  readonly connections: number;
  /** Connections accepted so far. */
  readonly accepted: number;
  /** Pauses both directions. New connections are accepted and hear nothing. */
  pause(): void;
  resume(): void;
  /**
   * Cuts all connections there are. What the proxy still held is lost. A side that is not cut stays open and
   * hears nothing more.
   *
   * @param how - `fin`: as if the process at the other end had exited. `rst`: as if its machine had restarted
   * @param side - whose connection is cut. Default: both
   */
  cut(how: 'fin' | 'rst', side?: 'client' | 'server' | 'both'): void;
  close(): Promise<void>;
}

/** Starts a proxy to a server. */
export async function startFaultProxy(
  to: { host: string; port: number },
  host = '127.0.0.1',
): Promise<FaultProxy> {
  const up = new Direction();
  const down = new Direction();
  const links = new Set<Link>();
  const sockets = new Set<Socket>();
  let accepted = 0;

  const listener = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) => {
    accepted++;
    const server = connect({ ...to, allowHalfOpen: true, noDelay: true });
    const link = { client, server, pumps: [new Pump(client, server, up), new Pump(server, client, down)] };
    links.add(link);
    for (const [socket, other, direction] of [
      [client, server, up],
      [server, client, down],
    ] as const) {
      sockets.add(socket);
      socket.once('error', () => {
        // A black hole swallows a reset, too.
        if (links.has(link) && !direction.paused) reset(other);
      });
      socket.once('close', () => {
        sockets.delete(socket);
        if (other.destroyed) unlink(link);
      });
    }
  });

  function unlink(link: Link): void {
    for (const pump of link.pumps) pump.stop();
    links.delete(link);
  }

  function cut(how: 'fin' | 'rst', side: 'client' | 'server' | 'both' = 'both'): void {
    for (const link of [...links]) {
      unlink(link);
      for (const name of side === 'both' ? (['client', 'server'] as const) : [side]) {
        if (how === 'rst') reset(link[name]);
        else link[name].resume().end();
      }
    }
  }

  async function close(): Promise<void> {
    if (!listener.listening) return;
    const closed = once(listener, 'close');
    listener.close();
    for (const link of [...links]) unlink(link);
    for (const socket of sockets) socket.destroy();
    await closed;
  }

  listener.listen(0, host);
  await once(listener, 'listening');
  return {
    host,
    port: (listener.address() as AddressInfo).port,
    up,
    down,
    get connections() {
      return links.size;
    },
    get accepted() {
      return accepted;
    },
    pause: () => [up, down].forEach((direction) => direction.pause()),
    resume: () => [up, down].forEach((direction) => direction.resume()),
    cut,
    close,
    [Symbol.asyncDispose]: close,
  };
}
