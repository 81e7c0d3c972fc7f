import { dialEnd, dialError, dialStart, type DialMessage } from '../diagnostics-events.js';
import type { Dialer, TunnelSocket } from '../dialer.js';

let lastId = 0;

/** Tells the subscribers of `node:diagnostics_channel` how a dial goes. */
export class DialReport {
  readonly #dial: DialMessage;
  readonly #startedAtMs = performance.now();

  private constructor(dial: DialMessage) {
    this.#dial = dial;
  }

  /** Reports a dial that begins; `undefined` when nobody listens. */
  static begin(dialer: Dialer, host: string, port: number): DialReport | undefined {
    if (!dialStart.hasSubscribers && !dialEnd.hasSubscribers && !dialError.hasSubscribers) return undefined;
    lastId += 1;
    const dial = { dialer, id: lastId, host, port };
    dialStart.publish(dial);
    return new DialReport(dial);
  }

  /** Reports how the dial ends. */
  async watch(opening: Promise<TunnelSocket>): Promise<TunnelSocket> {
    try {
      const socket = await opening;
      if (dialEnd.hasSubscribers) dialEnd.publish({ ...this.#dial, node: socket.node, ...this.#duration });
      return socket;
    } catch (error) {
      if (dialError.hasSubscribers) dialError.publish({ ...this.#dial, error, ...this.#duration });
      throw error;
    }
  }

  get #duration(): { readonly durationMs: number } {
    return { durationMs: performance.now() - this.#startedAtMs };
  }
}
