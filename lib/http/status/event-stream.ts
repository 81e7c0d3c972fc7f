import type { ServerResponse } from 'node:http';
import { FleetFeed, type Position } from './fleet-feed.js';
import type { ObservableDialer } from './observed.js';

/** How long several changes may wait to be told together. */
const GATHER_MS = 200;

/** How soon a browser comes back when the stream has ended. */
const RETRY_MS = 3_000;

/** A reader that has taken nothing for so many heartbeats is dropped. */
const PATIENCE = 4;

interface Reader {
  readonly response: ServerResponse;
  position: Position | undefined;
  toldAt: number;
}

export interface EventStreamOptions {
  readonly dialer: ObservableDialer;
  readonly refreshMs: number;
  readonly heartbeatMs: number;
  readonly maxStreams: number;
  readonly onError: (error: unknown) => void;
}

/**
 * Tells a dialer's status to any number of readers as server-sent events: `hello`, `fleet` and `changes` (see {@link FleetFeed}), and
 * `beat` in a silence.
 *
 * A reader that is slow skips what it cannot take: at most one event waits for it. The dialer is watched only while there is a reader.
 */
export class EventStream {
  readonly #options: EventStreamOptions;
  readonly #readers = new Set<Reader>();
  readonly #feed = new FleetFeed();
  #timer: NodeJS.Timeout | undefined;
  #gathering: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: EventStreamOptions) {
    this.#options = options;
  }

  /** Why there can be no further reader, if so. */
  get refusal(): string | undefined {
    if (this.#closed) return 'the handler is closed';
    if (this.#readers.size < this.#options.maxStreams) return undefined;
    return `${this.#readers.size} streams of events are open, and no more may be`;
  }

  /** Takes over a response that nothing but headers were set on. */
  add(response: ServerResponse): void {
    const reader: Reader = { response, position: undefined, toldAt: performance.now() };
    // A client that goes away is no error of ours.
    response.on('error', () => undefined);
    if (response.destroyed) return;
    response.once('close', () => this.#remove(reader));
    const { heartbeatMs, refreshMs } = this.#options;
    const hello = JSON.stringify({ heartbeatMs, refreshMs: Math.min(refreshMs, heartbeatMs) });
    response.write(`retry: ${RETRY_MS}\nevent: hello\ndata: ${hello}\n\n`);
    this.#readers.add(reader);
    if (this.#readers.size === 1) this.#watch();
    this.#refresh([reader]);
  }

  /** Ends all streams, and takes no more. */
  close(): void {
    this.#closed = true;
    this.#end();
  }

  #watch(): void {
    const { dialer, refreshMs, heartbeatMs } = this.#options;
    dialer.on('nodeState', this.#gather);
    dialer.on('source', this.#gather);
    this.#timer = setInterval(() => this.#refresh(this.#readers), Math.min(refreshMs, heartbeatMs)).unref();
  }

  #unwatch(): void {
    clearInterval(this.#timer);
    clearTimeout(this.#gathering);
    this.#gathering = undefined;
    this.#options.dialer.off('nodeState', this.#gather);
    this.#options.dialer.off('source', this.#gather);
  }

  readonly #gather = (): void => {
    this.#gathering ??= setTimeout(() => {
      this.#gathering = undefined;
      this.#refresh(this.#readers);
    }, GATHER_MS).unref();
  };

  #refresh(readers: Iterable<Reader>): void {
    try {
      const status = this.#options.dialer.status();
      this.#feed.read(status);
      for (const reader of readers) this.#tell(reader);
      if (status.state === 'closed') this.#end();
    } catch (error) {
      this.#options.onError(error);
      this.#end();
    }
  }

  #tell(reader: Reader): void {
    const { response, toldAt } = reader;
    const { heartbeatMs } = this.#options;
    const silentMs = performance.now() - toldAt;
    if (response.writableNeedDrain) {
      if (silentMs > heartbeatMs * PATIENCE) response.destroy();
      return;
    }
    const news = this.#feed.since(reader.position);
    if (news !== undefined) {
      reader.position = news.position;
      response.write(`event: ${news.event}\ndata: ${news.data}\n\n`);
    } else if (silentMs >= heartbeatMs) {
      response.write(`event: beat\ndata: {"at":${JSON.stringify(new Date())}}\n\n`);
    } else return;
    reader.toldAt = performance.now();
  }

  #end(): void {
    for (const reader of [...this.#readers]) {
      this.#remove(reader);
      // One that does not read would keep the server from closing.
      if (reader.response.writableNeedDrain) reader.response.destroy();
      else reader.response.end();
    }
  }

  #remove(reader: Reader): void {
    if (this.#readers.delete(reader) && this.#readers.size === 0) this.#unwatch();
  }
}
