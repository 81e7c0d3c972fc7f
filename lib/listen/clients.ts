import type { Socket } from 'node:net';
import type { Dialer } from '../dialer.js';
import type { CheckedLocal } from './options.js';
import type { Protocol } from './protocol.js';
import { reset } from './reset.js';
import { Session, type SessionSettings } from './session.js';

const REQUEST_TIMEOUT_MS = 10_000;

/** The clients of one listener, no more than it may have. */
export class Clients {
  readonly #sessions = new Set<Session>();
  readonly #settings: SessionSettings;
  readonly #serve: (session: Session) => void;
  readonly #max: number;
  #takesNew = true;
  /** Whether the last client was one too many: it is told once for each time that it comes to this. */
  #isFull = false;
  #whenEmpty: (() => void)[] = [];

  constructor(dialer: Dialer, options: CheckedLocal, protocol: Protocol, onError: (error: unknown) => void) {
    this.#serve = protocol.serve;
    this.#max = options.maxConnections;
    this.#settings = {
      dialer,
      via: options.via,
      timeoutMs: options.timeoutMs,
      requestTimeoutMs: protocol.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
      late: protocol.late,
      isTcp: options.at.kind === 'tcp',
      onError,
      onEnded: (session) => this.#ended(session),
    };
  }

  get size(): number {
    return this.#sessions.size;
  }

  accept(client: Socket): void {
    if (!this.#takesNew || this.#sessions.size >= this.#max) {
      client.on('error', () => undefined);
      reset(client, this.#settings.isTcp);
      if (this.#takesNew) this.#tellFull();
      return;
    }
    this.#isFull = false;
    const session = new Session(client, this.#settings);
    this.#sessions.add(session);
    this.#serve(session);
  }

  /** From now on clients are reset as soon as they connect. */
  refuseNew(): void {
    this.#takesNew = false;
  }

  /** Resets those that have not asked for anything yet. */
  dismissIdle(): void {
    for (const session of this.#sessions) if (session.isAsking) session.reset();
  }

  reset(): void {
    for (const session of this.#sessions) session.reset();
  }

  async allEnded(): Promise<void> {
    if (this.#sessions.size > 0) await new Promise<void>((resolve) => this.#whenEmpty.push(resolve));
  }

  #tellFull(): void {
    if (this.#isFull) return;
    this.#isFull = true;
    this.#settings.onError(
      new Error(
        `a client was reset, for ${this.#max} are connected: raise maxConnections, or find out who holds them`,
      ),
    );
  }

  #ended(session: Session): void {
    this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    for (const resolve of this.#whenEmpty.splice(0)) resolve();
  }
}
