import { Backoff } from './backoff.js';
import { debug } from './diagnostics.js';
import { messageOf } from './errors.js';
import { unlessAborted } from './unless-aborted.js';

/** Something that tells what is to be used, again whenever that changes, and an `Error` while it cannot tell. */
export interface Source<Update> {
  readonly name: string;
  follow(signal: AbortSignal): AsyncIterable<Update | Error>;
}

/** Something that a source knows, such as a node, but cannot tell as it is. */
export interface LeftOut {
  readonly name: string;
  /** What is wrong with it. */
  readonly reason: string;
  /** Whether it is told as it was when it was last good, not left out altogether. Default: `false`. */
  readonly isKept?: boolean | undefined;
}

/** How a source of nodes or credentials fares. */
export interface SourceStatus {
  /** What it is, such as `file /etc/tunnel/nodes.yaml`. */
  readonly name: string;
  /**
   * - `waiting`: it has not told any yet
   * - `current`: those in use are the ones that it told last, or that it began with
   * - `stale`: it fails, or has told some that cannot be used; the last good ones stay in use, and it goes on trying
   * - `ended`: it will tell no others; those in use stay. With a `failure` there may have been others
   */
  readonly state: 'waiting' | 'current' | 'stale' | 'ended';
  /** When those in use were told. */
  readonly updatedAt?: Date;
  /** Why there are no newer ones, and since when. */
  readonly failure?: { readonly message: string; readonly since: Date };
  /** What the source knows but could not tell as it is, if there is anything: how many, and the first 100 of them. */
  readonly leftOut?: { readonly count: number; readonly first: readonly LeftOut[] };
}

/** A status is sent to everybody who looks at it, and a whole cluster may have the same trouble. */
const MAX_LEFT_OUT = 100;

export interface SourceFollowerOptions<Update> {
  readonly source: Source<Update>;
  /** Whether something is in use before the source has told anything. Default: no. */
  readonly hasFirst?: boolean;
  /** Makes use of what was told; throws, and changes nothing, if it cannot be used. Returns what the source has left out, if anything. */
  readonly apply: (update: Update) => readonly LeftOut[] | undefined;
  /** Called when the status has changed. */
  readonly onChange: () => void;
}

/** When a source that broke is followed again. */
const AGAIN = Backoff.create({ minMs: 1000, maxMs: 30_000 });

/**
 * Keeps in use what a source tells. Whatever becomes of the source, the last that was good stays. One that breaks is followed again; one
 * that then has nothing to tell, as an iterable that can be iterated only once, has ended with its failure.
 */
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
    let backoff = AGAIN;
    for (;;) {
      const { updatedAt } = this.#status;
      try {
        await this.#followOnce(signal);
        this.#become({ ...this.#status, state: 'ended' });
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#failed(error);
      }
      const hasTold = this.#status.updatedAt !== updatedAt;
      backoff = (hasTold ? AGAIN : backoff).next();
      if (!(await pause(backoff.delayMs, signal))) return;
    }
  }

  /** Throws what the source throws, and the signal's reason. */
  async #followOnce(signal: AbortSignal): Promise<void> {
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
  }

  #take(update: Update | Error): void {
    if (update instanceof Error) {
      this.#failed(update);
      return;
    }
    let leftOut: readonly LeftOut[] = [];
    try {
      leftOut = this.#options.apply(update) ?? [];
    } catch (error) {
      this.#failed(error);
      return;
    }
    this.#become({
      name: this.#status.name,
      state: 'current',
      updatedAt: new Date(),
      ...(leftOut.length > 0 && {
        leftOut: { count: leftOut.length, first: leftOut.slice(0, MAX_LEFT_OUT) },
      }),
    });
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

/** Returns whether the time has passed, which it has not when the signal was aborted meanwhile. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await unlessAborted(over, signal).catch(() => undefined);
  clearTimeout(timer);
  return !signal.aborted;
}
