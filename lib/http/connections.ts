import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import type { Dialer } from '../dialer.js';
import { given, type TlsCredentials, type TlsSource } from '../tls/tls-source.js';
import { ConnectingSockets } from './connecting-sockets.js';
import type { TunnelTlsConnectionOptions } from './connection-options.js';
import type { PendingSocket } from './pending-socket.js';
import { type PendingSocketOptions } from './pending-socket.js';
import { nameEndpoint } from './tls-errors.js';
import { startTls } from './start-tls.js';
import { limitHandshake, TLS_HANDSHAKE_TIMEOUT_MS } from './tls-handshake.js';

/** Makes the connections of clients that have no agent of Node's: streams through a dialer, and TLS over them. */
export class Connections {
  readonly #dialer: Dialer;
  readonly #node: string | undefined;
  readonly #dialTimeoutMs: number | undefined;
  readonly #handshakeTimeoutMs: number;
  readonly #tls: TlsSource | undefined;
  readonly #options: ConnectionOptions;
  readonly #connecting: ConnectingSockets;
  #told: TlsCredentials | undefined;

  /** @param options - checked */
  constructor(dialer: Dialer, options: TunnelTlsConnectionOptions) {
    const { node, dialTimeoutMs, signal, tlsHandshakeTimeoutMs, tls, ...own } = options;
    this.#dialer = dialer;
    this.#node = node;
    this.#dialTimeoutMs = dialTimeoutMs;
    this.#handshakeTimeoutMs = tlsHandshakeTimeoutMs ?? TLS_HANDSHAKE_TIMEOUT_MS;
    this.#tls = tls;
    this.#options = own;
    this.#connecting = new ConnectingSockets(signal);
  }

  /** Dials. */
  open<Stream extends PendingSocket>(
    host: string,
    port: number,
    Kind: new (options: PendingSocketOptions) => Stream,
  ): Stream {
    return new Kind({
      dialer: this.#dialer,
      host,
      port,
      node: this.#node,
      timeoutMs: this.#dialTimeoutMs,
    });
  }

  /** Lets the signal give up a stream over which there is no TLS. */
  follow(stream: PendingSocket): void {
    this.#connecting.add(stream, 'connect');
  }

  /**
   * Starts TLS over a stream, with our options in the place of `asked` where both say something.
   *
   * @param session - what may be resumed, asked for after `forget` was called where nothing may be
   * @throws what `node:tls` throws, or the {@link TlsSource}; the stream is destroyed then
   */
  secure(
    stream: PendingSocket,
    { servername, ...asked }: ConnectionOptions & { servername: string },
    sessions?: { get(): Buffer | undefined; forget(): void },
  ): TLSSocket {
    let socket: TLSSocket;
    try {
      const told = this.#tell(() => sessions?.forget());
      const session = sessions?.get();
      const options = {
        ...asked,
        servername,
        ...this.#options,
        ...told,
        ...(session !== undefined && { session }),
      };
      socket = startTls(stream, () => connect({ ...options, socket: stream }));
    } catch (error) {
      stream.destroy();
      throw error;
    }
    // Sooner than Node hands it on: a client could take the socket for alive meanwhile.
    socket.once('secureConnect', () => {
      stream.prependOnceListener('error', (error) => socket.destroy(error));
    });
    stream.once('connect', () => {
      nameEndpoint(socket, stream);
      limitHandshake(socket, stream, this.#handshakeTimeoutMs);
    });
    this.#connecting.add(socket, 'secureConnect');
    return socket;
  }

  #tell(onChange: () => void): TlsCredentials | undefined {
    if (this.#tls === undefined) return undefined;
    const credentials = this.#tls.current();
    if (this.#told !== undefined && credentials !== this.#told) onChange();
    this.#told = credentials;
    return given(credentials);
  }
}
