import { debug } from '../diagnostics.js';
import { unlessAborted } from '../unless-aborted.js';
import type { NodeSpec } from './node.js';
import type { NodeSource, NodeUpdate } from './node-source.js';

/** How a source of nodes fares. */
export interface SourceStatus {
  /** What it is, such as `file /etc/tunnel/nodes.yaml`. */
  readonly name: string;
  /**
   * - `waiting`: it has not told any nodes yet
   * - `current`: the nodes are those that it told last
   * - `stale`: it fails, or has told nodes that cannot be used; the nodes stay those of its last good list
   * - `ended`: it will tell no others; the nodes stay
   */
  readonly state: 'waiting' | 'current' | 'stale' | 'ended';
  /** When the nodes in use were told. */
  readonly updatedAt?: Date;
  /** Why there are no newer nodes, and since when. */
  readonly failure?: { readonly message: string; readonly since: Date };
}

export interface SourceFollowerOptions {
  readonly source: NodeSource;
  /** Makes these the nodes; throws, and changes nothing, if they cannot be used. */
  readonly apply: (nodes: readonly NodeSpec[]) => void;
  /** Called when the status has changed. */
  readonly onChange: () => void;
}

/** Keeps the nodes those that a source tells. Whatever becomes of the source, the last good list stays. */
export class SourceFollower {
  readonly #options: SourceFollowerOptions;
  readonly #stop = new AbortController();
  #status: SourceStatus;

  constructor(options: SourceFollowerOptions) {
    this.#options = options;
    this.#status = { name: options.source.name, state: 'waiting' };
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

  #take(update: NodeUpdate): void {
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
    const message = error instanceof Error ? error.message : String(error);
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
