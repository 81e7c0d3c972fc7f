import { subscribe } from 'node:diagnostics_channel';
import type { DiagnosticsMessages } from '../../../../lib/index.js';
import type { Watched } from '../messages.js';

const SAMPLE_MS = 50;

/** What takes longer never happens. */
const LIMIT_MS = 180_000;

/** Counts handshakes under way and connections that are ready, from what the library publishes. */
export class ConnectionWatch {
  #handshakes = 0;
  #ready = 0;
  #greatest = 0;
  #hasChanged = false;
  #wanted: { readonly ready: number; readonly resolve: () => void } | undefined;
  #startedAtMs = 0;
  #samples: { readonly handshakes: number; readonly ready: number }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor() {
    subscribe('tunnel-dialer:connection:connecting', () => this.#count(1, 0));
    subscribe('tunnel-dialer:connection:failed', () => this.#count(-1, 0));
    subscribe('tunnel-dialer:connection:ready', () => this.#count(-1, 1));
    subscribe('tunnel-dialer:connection:lost', () => this.#count(0, -1));
    subscribe('tunnel-dialer:connection:closed', (message) => {
      const { durationMs } = message as DiagnosticsMessages['tunnel-dialer:connection:closed'];
      if (durationMs > 0) this.#count(0, -1);
      else this.#count(-1, 0);
    });
  }

  begin(): void {
    clearInterval(this.#timer);
    this.#samples = [];
    this.#greatest = this.#handshakes;
    this.#startedAtMs = performance.now();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  /** Resolves when so many connections are ready; the watch is over then. */
  async reach(ready: number): Promise<Watched> {
    if (this.#ready !== ready) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => {
          reject(new Error(`${this.#ready} connections are ready after ${LIMIT_MS} ms, and not ${ready}`));
        }, LIMIT_MS);
        this.#wanted = {
          ready,
          resolve: () => {
            clearTimeout(timer);
            resolve();
          },
        };
      });
    }
    const ms = performance.now() - this.#startedAtMs;
    clearInterval(this.#timer);
    this.#sample();
    return {
      ms,
      sampleMs: SAMPLE_MS,
      handshakes: this.#samples.map((sample) => sample.handshakes),
      ready: this.#samples.map((sample) => sample.ready),
    };
  }

  #sample(): void {
    this.#samples.push({ handshakes: this.#greatest, ready: this.#ready });
    this.#greatest = this.#handshakes;
  }

  #count(handshakes: number, ready: number): void {
    this.#handshakes += handshakes;
    this.#ready += ready;
    if (this.#hasChanged) return;
    this.#hasChanged = true;
    // The end of one handshake and the beginning of the next are published within a turn, in no order.
    setImmediate(() => {
      this.#hasChanged = false;
      this.#greatest = Math.max(this.#greatest, this.#handshakes);
      if (this.#wanted?.ready === this.#ready) this.#wanted.resolve();
    });
  }
}
