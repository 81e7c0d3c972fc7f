import type { Duplex } from 'node:stream';
import { asError } from '../errors.js';

/** Sockets that are being connected, for a signal to give them up. Nobody listens to it while there are none. */
export class ConnectingSockets {
  readonly #signal: AbortSignal | undefined;
  readonly #sockets = new Set<Duplex>();
  readonly #giveUp = (): void => {
    for (const socket of this.#sockets) this.#destroy(socket);
  };

  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal;
  }

  /** Follows a socket until it has emitted `event`, by which it is connected. */
  add(socket: Duplex, event: 'connect' | 'secureConnect'): void {
    if (this.#signal === undefined) return;
    if (this.#signal.aborted) {
      this.#destroy(socket);
      return;
    }
    if (this.#sockets.size === 0) this.#signal.addEventListener('abort', this.#giveUp);
    this.#sockets.add(socket);
    const leave = (): void => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) this.#signal?.removeEventListener('abort', this.#giveUp);
    };
    socket.once(event, leave).once('close', leave);
  }

  #destroy(socket: Duplex): void {
    socket.destroy(asError(this.#signal?.reason));
  }
}
