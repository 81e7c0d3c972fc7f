import {
  connectionClosed,
  connectionConnecting,
  connectionFailed,
  connectionLost,
  connectionReady,
  type ConnectionMessage,
  type DiagnosticsEvent,
} from '../diagnostics-events.js';
import type { Dialer } from '../dialer.js';
import { ClosedError, type TunnelError } from '../errors.js';
import type { ByteCounts } from '../ssh/byte-counts.js';
import type { SshTarget } from '../ssh/handshake.js';

let lastId = 0;

/** Tells the subscribers of `node:diagnostics_channel` of the life of one connection. */
export class ConnectionReport {
  readonly #dialer: Dialer | undefined;
  readonly #target: SshTarget;
  #id = 0;
  #beganAtMs: number | undefined;
  #readyAtMs: number | undefined;

  /** @param dialer - whose connection it is; nothing is told without one */
  constructor(dialer: Dialer | undefined, target: SshTarget) {
    this.#dialer = dialer;
    this.#target = target;
  }

  /** The handshake may begin. */
  began(): void {
    lastId += 1;
    this.#id = lastId;
    this.#beganAtMs = performance.now();
    this.#tell(connectionConnecting, () => ({}));
  }

  /** @param isReconnect - whether the node has lost a connection, or failed an attempt, since one became ready */
  ready(isReconnect: boolean): void {
    this.#readyAtMs = performance.now();
    this.#tell(connectionReady, () => ({ durationMs: since(this.#beganAtMs), isReconnect }));
  }

  /** @param error - why; without one, or with a `ClosedError`, it was closed on purpose */
  over(error: TunnelError | undefined, bytes: ByteCounts): void {
    // It was given up while it waited for its turn.
    if (this.#beganAtMs === undefined) return;
    const life = () => ({
      durationMs: since(this.#readyAtMs),
      bytesReceived: bytes.received,
      bytesSent: bytes.sent,
    });
    if (error === undefined || error instanceof ClosedError) {
      this.#tell(connectionClosed, life);
    } else if (this.#readyAtMs === undefined) {
      this.#tell(connectionFailed, () => ({ error, durationMs: since(this.#beganAtMs) }));
    } else {
      this.#tell(connectionLost, () => ({ ...life(), error }));
    }
  }

  #tell<Message extends ConnectionMessage>(
    event: DiagnosticsEvent<Message>,
    more: () => Omit<Message, keyof ConnectionMessage>,
  ): void {
    if (this.#dialer === undefined || !event.hasSubscribers) return;
    const { node, host, via } = this.#target;
    const about: ConnectionMessage = {
      dialer: this.#dialer,
      id: this.#id,
      node,
      address: host.names[0] ?? '',
      port: host.port,
      ...(via !== undefined && { via: via.name }),
    };
    const message = { ...about, ...more() } as Message;
    // A subscriber must not run inside the connection that reports.
    queueMicrotask(() => event.publish(message));
  }
}

const since = (timeMs: number | undefined): number => (timeMs === undefined ? 0 : performance.now() - timeMs);
