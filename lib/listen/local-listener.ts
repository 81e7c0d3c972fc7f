import { createServer, type AddressInfo, type Server } from 'node:net';
import { debug } from '../diagnostics.js';
import type { Dialer } from '../dialer.js';
import { asError, messageOf } from '../errors.js';
import { printable } from '../printable.js';
import type { TcpAddress, UnixAddress } from './address.js';
import { bound } from './bound.js';
import { Clients } from './clients.js';
import type { CheckedLocal, CheckedPlace } from './options.js';
import type { Protocol } from './protocol.js';
import { listenOnPath } from './unix-socket.js';

/** Listens on this machine, and takes what connects through a dialer. Made by {@link listen}, {@link socks5} and {@link httpConnect}. */
export class LocalListener<
  Address extends TcpAddress | UnixAddress = TcpAddress | UnixAddress,
> implements AsyncDisposable {
  /** Where it listens: the host and the port, or the path. */
  readonly address: Address;
  /** What a client takes for its proxy, such as `socks5h://127.0.0.1:1080`, without a password. Only of a proxy that listens by TCP. */
  readonly url: string | undefined;
  readonly #server: Server;
  readonly #clients: Clients;
  readonly #graceMs: number;
  /** Takes the name of a UNIX socket away. */
  readonly #unlink: () => void;
  #stopped: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(
    server: Server,
    clients: Clients,
    { address, url, unlink, graceMs }: Bound<Address> & { url: string | undefined; graceMs: number },
  ) {
    this.address = address;
    this.url = url;
    this.#server = server;
    this.#clients = clients;
    this.#graceMs = graceMs;
    this.#unlink = unlink;
  }

  /**
   * @internal
   * @throws {@link InvalidOptionError} for a path that cannot be used, and `node:net`'s own errors, such as `EADDRINUSE`
   */
  static async open<Address extends TcpAddress | UnixAddress>(
    dialer: Dialer,
    options: CheckedLocal,
    protocol: Protocol,
  ): Promise<LocalListener<Address>> {
    const report = (error: unknown): void => {
      debug.listen('%s: %s', protocol.name, printable(messageOf(error)));
      const { onError } = options;
      // What a listener throws is not the concern of the socket whose event this is.
      if (onError !== undefined) process.nextTick(onError, asError(error));
    };
    const clients = new Clients(dialer, options, protocol, report);
    const server = createServer(
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 },
      (client) => clients.accept(client),
    );
    const found = await bind(server, options.at);
    server.on('error', report);
    const url = protocol.url?.(found.address);
    // The type follows from the place that the caller gave.
    const { address, unlink } = found as Bound<Address>;
    debug.listen('%s: listening on %o', protocol.name, address);
    return new LocalListener(server, clients, { address, unlink, url, graceMs: options.graceMs });
  }

  /** Clients that are connected, whether or not they have a stream, and streams whose client has gone but that have yet to deliver. */
  get connections(): number {
    return this.#clients.size;
  }

  /** Stops accepting, waits for dials and streams up to `graceMs`, then resets what is left. The dialer stays open. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Stops accepting and resets every client at once. `close()` then tells when all is gone. */
  destroy(): void {
    this.#stop().catch(() => undefined);
    this.#clients.reset();
  }

  /** As `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const stopped = this.#stop();
    this.#clients.dismissIdle();
    const grace = setTimeout(() => this.#clients.reset(), this.#graceMs);
    await this.#clients.allEnded();
    clearTimeout(grace);
    await stopped;
  }

  #stop(): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      this.#clients.refuseNew();
      try {
        this.#unlink();
      } finally {
        this.#server.close(() => resolve());
      }
    });
    return this.#stopped;
  }
}

interface Bound<Address> {
  readonly address: Address;
  readonly unlink: () => void;
}

async function bind(server: Server, at: CheckedPlace): Promise<Bound<TcpAddress | UnixAddress>> {
  if (at.kind === 'unix') {
    return { address: { path: at.path }, unlink: await listenOnPath(server, at.path) };
  }
  await bound(server, { host: at.host, port: at.port });
  const { address: host, port } = server.address() as AddressInfo;
  return { address: { host, port }, unlink: () => undefined };
}
