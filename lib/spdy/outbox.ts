import type { Duplex } from 'node:stream';
import { SpdyError } from './errors.js';

/** Answers that a peer asks for and does not read; more is a flood. */
const MAX_UNREAD_ANSWERS_BYTES = 64 * 1024;
/** How long the peer may take to end its side when we have ended ours. */
const LINGER_MS = 5000;

/** Is called when bytes have left, or cannot. */
export type Sent = (error?: Error | null) => void;

/** What a session says on its connection. */
export class Outbox {
  readonly #socket: Duplex;
  #unreadAnswers = 0;
  #linger: NodeJS.Timeout | undefined;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  send(parts: readonly Buffer[], sent?: Sent): void {
    const socket = this.#socket;
    if (!socket.writable) {
      sent?.(new SpdyError('ECONNRESET', 'the connection was lost'));
      return;
    }
    socket.cork();
    parts.forEach((part, index) => socket.write(part, index === parts.length - 1 ? sent : undefined));
    socket.uncork();
  }

  /**
   * Says what the peer makes us say, which is bounded; what we say of ourselves has its own bounds.
   *
   * @returns whether the peer reads its answers
   */
  answer(bytes: Buffer): boolean {
    this.#unreadAnswers += bytes.length;
    this.send([bytes], () => (this.#unreadAnswers -= bytes.length));
    return this.#unreadAnswers <= MAX_UNREAD_ANSWERS_BYTES;
  }

  /** Ends the connection after what was sent; the peer's end is waited for, to let it read that. */
  shutDown(): void {
    const socket = this.#socket;
    socket.resume();
    socket.end();
    if (socket.destroyed || this.#linger !== undefined) return;
    this.#linger = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clearTimeout(this.#linger));
  }
}
