import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { ClosedError } from '../errors.js';

/** What a listener needs to know. */
export interface ListenerOptions {
  /** Name for errors. */
  readonly name: string;
  readonly host: string;
  /** 0: a free one, kept from then on. */
  readonly port: number;
  readonly accept: (socket: Socket) => void;
  readonly log: (line: string) => void;
}

/** A TCP listener that goes down and comes back on the same port, and that leaves no socket behind. */
export class Listener {
  readonly #options: ListenerOptions;
  /** Every socket of the node, to clients and to endpoints, until its handle is closed. */
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port: number;
  #closed = false;
  #lastTurn: Promise<void> = Promise.resolve();

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#port = options.port;
  }

  /** The port that is listened on, or was. */
  get port(): number {
    return this.#port;
  }

  /** Registers a socket that must not outlive `stop()`. */
  track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  /**
   * Listens, on the port it had.
   *
   * @throws {@link ClosedError} `ERR_TUNNEL_CLOSED`, and `node:net`'s own errors
   */
  start(): Promise<void> {
    return this.#inTurn(() => this.#listen());
  }

  /** Ends every socket and refuses new ones. Resolves when no handle is left. */
  stop(): Promise<void> {
    return this.#inTurn(() => this.#goDown());
  }

  /** Stops, and cannot be started again. */
  close(): Promise<void> {
    this.#closed = true;
    return this.stop();
  }

  /** One after the other, so that a `close()` in the midst of a `start()` leaves no listener behind. */
  #inTurn(step: () => Promise<void>): Promise<void> {
    const turn = this.#lastTurn.then(step);
    this.#lastTurn = turn.catch(() => undefined);
    return turn;
  }

  async #listen(): Promise<void> {
    const { name, host, accept, log } = this.#options;
    if (this.#closed) throw closedError(name);
    if (this.#server !== undefined) return;
    const server = createServer({ noDelay: true }, (socket) => {
      this.track(socket);
      accept(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port: this.#port }, () => {
        server.off('error', reject);
        resolve();
      });
    });
    server.on('error', (error) => log(`cannot accept: ${error.message}`));
    this.#server = server;
    this.#port = (server.address() as AddressInfo).port;
    log(`listening on ${host} port ${this.#port}`);
  }

  async #goDown(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const stopped = server && new Promise((resolve) => server.close(resolve));
    // An endpoint may still be asked while its client's socket closes.
    while (this.#sockets.size > 0) await Promise.all([...this.#sockets].map(destroyed));
    await stopped;
  }
}

/** What is said of a node that was closed for good. */
export function closedError(name: string): ClosedError {
  return new ClosedError(`the SSH node ${name} is closed; start another with startSshNode()`);
}

/** Destroys a socket and waits for its handle; `socket.closed` is true before that. */
function destroyed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve());
    socket.destroy();
  });
}
