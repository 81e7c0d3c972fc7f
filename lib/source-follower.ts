import { debug } from './diagnostics.js';
import { messageOf } from './errors.js';
import { unlessAborted } from './unless-aborted.js';

/** Something that tells what is to be used, again whenever that changes, and an `Error` while it cannot tell. */
export interface Source<Update> {
  readonly name: string;
  follow(signal: AbortSignal): AsyncIterable<Update | Error>;
}

/** How a source of nodes or credentials fares. */
export interface SourceStatus {
  /** What it is, such as `file /etc/tunnel/nodes.yaml`. */
  readonly name: string;
  /**
   * - `waiting`: it has not told any yet
   * - `current`: those in use are the ones that it told last, or that it began with
   * - `stale`: it fails, or has told some that cannot be used; the last good ones stay in use
   * - `ended`: it will tell no others; those in use stay
   */
  readonly state: 'waiting' | 'current' | 'stale' | 'ended';
  /** When those in use were told. */
  readonly updatedAt?: Date;
  /** Why there are no newer ones, and since when. */
  readonly failure?: { readonly message: string; readonly since: Date };
}

export interface SourceFollowerOptions<Update> {
  readonly source: Source<Update>;
  /** Whether something is in use before the source has told anything. Default: no. */
  readonly hasFirst?: boolean;
  /** Makes use of what was told; throws, and changes nothing, if it cannot be used. */
  readonly apply: (update: Update) => void;
  /** Called when the status has changed. */
  readonly onChange: () => void;
}

/** Keeps in use what a source tells. Whatever becomes of the source, the last that was good stays. */
export class SourceFollower<Update> {
  readonly #options: SourceFollowerOptions<Update>;
  readonly #stop = new AbortController();
  #status: SourceStatus;

  constructor(options: SourceFollowerOptions<Update>) {
    this.#options = options;
    const { name } = options.source;
    this.#status =
      options.hasFirst === true
        ? { name, state: 'current', updatedAt: new Date() }
        : { name, state: 'waiting' };
  }

  get status(): SourceStatus {
    return this.#status;
  }

  start(): void {
    void this.#follow();
  }

  stop(): void {
    this.#stop.abort();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop;
    try {
      const updates = this.#options.source.follow(signal)[Symbol.asyncIterator]();
      try {
        for (;;) {
          const update = await unlessAborted(updates.next(), signal);
          if (update.done === true) break;
          this.#take(update.value);
        }
      } finally {
        // Not waited for: a generator returns only when what it waits for itself is over.
        void Promise.resolve(updates.return?.()).catch(() => undefined);
      }
      this.#become({ ...this.#status, state: 'ended' });
    } catch (error) {
      if (!signal.aborted) this.#failed(error);
    }
  }

  #take(update: Update | Error): void {
    if (update instanceof Error) {
      this.#failed(update);
      return;
    }
    try {
      this.#options.apply(update);
    } catch (error) {
      this.#failed(error);
      return;
    }
    this.#become({ name: this.#status.name, state: 'current', updatedAt: new Date() });
  }

  #failed(error: unknown): void {
    const message = messageOf(error);
    const { failure, state } = this.#status;
    debug.dialer('%s: %s', this.#status.name, message);
    this.#become({
      ...this.#status,
      state: state === 'waiting' ? 'waiting' : 'stale',
      failure: { message, since: failure?.since ?? new Date() },
    });
  }

  #become(status: SourceStatus): void {
    this.#status = status;
    this.#options.onChange();
  }
}
