import type { WebSocket } from 'ws';
import { listenForAbort } from '../../abortable-signal.js';
import { loadWs } from '../../kubelet/streaming/load-ws.js';
import type { UpgradeExchange } from '../exchange.js';
import { StatusError } from '../status-error.js';
import { acceptWebSocket } from '../upgrade/accept-web-socket.js';
import { membersOf } from '../upgrade/is-upgrade.js';

/** A message as large as a kubelet takes. */
const MAX_MESSAGE_BYTES = 1024 * 1024;
/** How long a client may take to answer a close frame. */
const CLOSE_MS = 5000;
/** How often a client is looked at whose words are not waited for: nothing else would tell that it is gone. */
const VIGIL_MS = 1000;

/** The subprotocols that a client offers, in its order. */
export function offeredSubprotocols({ headers }: UpgradeExchange['request']): readonly string[] {
  return membersOf(headers['sec-websocket-protocol'] ?? '');
}

/** A client's WebSocket, whose back-pressure is that of who it talks to. */
export class ClientWebSocket {
  /** Resolves when it is closed. */
  readonly closed: Promise<void>;
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket, signal: AbortSignal | undefined) {
    this.#socket = socket;
    socket.on('error', () => socket.terminate());
    const vigil = setInterval(() => {
      if (socket.isPaused && socket.bufferedAmount === 0) socket.ping(undefined, undefined, () => undefined);
    }, VIGIL_MS);
    const cut = (): void => socket.terminate();
    if (signal !== undefined) listenForAbort(signal, cut);
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        clearInterval(vigil);
        signal?.removeEventListener('abort', cut);
        resolve();
      });
    });
    if (signal?.aborted === true) cut();
  }

  /**
   * Refuses what `accept` would refuse, before anything is begun for it at a kubelet.
   *
   * @throws {@link StatusError} 400 for what is no WebSocket (RFC 6455 §4.2.1), 500 where the package `ws` is missing
   */
  static judge({ request }: UpgradeExchange): void {
    loadWs();
    const { upgrade = '', 'sec-websocket-key': key = '', 'sec-websocket-version': version } = request.headers;
    const isNamed = request.method === 'GET' && upgrade.toLowerCase() === 'websocket';
    if (isNamed && version === '13' && /^[+/0-9A-Za-z]{22}==$/.test(key)) return;
    throw new StatusError(400, 'BadRequest', 'unable to upgrade: this is no WebSocket of version 13');
  }

  /**
   * Accepts an upgrade, with one of the subprotocols that it offers.
   *
   * @throws {@link StatusError} 400 for what is no WebSocket; {@link ClientGoneError}
   */
  static async accept(
    upgrade: UpgradeExchange,
    subprotocol: string,
    signal?: AbortSignal,
  ): Promise<ClientWebSocket> {
    const opened = await acceptWebSocket(upgrade, { subprotocol, maxMessageBytes: MAX_MESSAGE_BYTES });
    return new ClientWebSocket(opened, signal);
  }

  onMessage(take: (bytes: Buffer, isBinary: boolean) => void): void {
    this.#socket.on('message', (message, isBinary) => take(message as Buffer, isBinary));
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Resolves when it has left, or cannot. */
  send(bytes: Buffer): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.send(bytes, { binary: true }, () => resolve());
    });
  }

  /** Says goodbye after everything that was sent. */
  async close(code = 1000): Promise<void> {
    this.#socket.resume();
    this.#socket.close(code);
    const limit = setTimeout(() => this.#socket.terminate(), CLOSE_MS);
    await this.closed;
    clearTimeout(limit);
  }

  terminate(): void {
    this.#socket.terminate();
  }
}
