import type { TLSSocket } from 'node:tls';

/** TLS sessions to be resumed, one for each endpoint; the oldest goes when there are too many. */
export class TlsSessions {
  readonly #most: number;
  readonly #sessions = new Map<string, Buffer>();

  constructor(most: number) {
    this.#most = most;
  }

  get(key: string): Buffer | undefined {
    return this.#sessions.get(key);
  }

  /** Keeps what the endpoint gives to this socket, and forgets it when its handshake fails. */
  keepFrom(socket: TLSSocket, key: string): void {
    if (this.#most === 0) return;
    socket.on('session', (session: Buffer) => {
      this.#sessions.delete(key);
      this.#sessions.set(key, session);
      const [oldest] = this.#sessions.keys();
      if (this.#sessions.size > this.#most && oldest !== undefined) this.#sessions.delete(oldest);
    });
    const forget = (): void => void this.#sessions.delete(key);
    socket.once('error', forget);
    socket.once('secureConnect', () => socket.off('error', forget));
  }

  clear(): void {
    this.#sessions.clear();
  }
}
