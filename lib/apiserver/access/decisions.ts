import { unlessAborted } from '../../unless-aborted.js';

/** What is known of a request: it may be made, or the refusal. */
export interface Decision<Refusal> {
  readonly refusal: Refusal | undefined;
}

export interface DecisionsOptions {
  readonly allowedMs: number;
  readonly deniedMs: number;
  readonly max: number;
  /** Milliseconds that only grow. */
  readonly now?: () => number;
}

interface Known<Refusal> {
  readonly decision: Decision<Refusal>;
  readonly until: number;
}

/** Decisions that are remembered for a while. Those who want to know the same at once share one question; what fails is asked again. */
export class Decisions<Refusal> {
  readonly #options: Required<DecisionsOptions>;
  readonly #known = new Map<string, Known<Refusal>>();
  readonly #asked = new Map<string, Promise<Decision<Refusal>>>();

  constructor(options: DecisionsOptions) {
    this.#options = { now: () => performance.now(), ...options };
  }

  /**
   * @param ask - goes on without whoever asked first, so it must end by itself
   * @param waiter - its signal, which many make only when somebody wants it, is not looked at for what is known
   */
  async get(
    key: string,
    ask: () => Promise<Decision<Refusal>>,
    waiter: { readonly signal?: AbortSignal | undefined },
  ): Promise<Decision<Refusal>> {
    const known = this.#known.get(key);
    if (known !== undefined && this.#options.now() < known.until) return known.decision;
    const { signal } = waiter;
    signal?.throwIfAborted();
    return unlessAborted(this.#asked.get(key) ?? this.#ask(key, ask), signal);
  }

  #ask(key: string, ask: () => Promise<Decision<Refusal>>): Promise<Decision<Refusal>> {
    const asked = ask()
      .then((decision) => {
        this.#remember(key, decision);
        return decision;
      })
      .finally(() => this.#asked.delete(key));
    this.#asked.set(key, asked);
    return asked;
  }

  #remember(key: string, decision: Decision<Refusal>): void {
    const { allowedMs, deniedMs, max, now } = this.#options;
    const until = now() + (decision.refusal === undefined ? allowedMs : deniedMs);
    // The oldest first, which is the first to expire, too, or nearly.
    this.#known.delete(key);
    this.#known.set(key, { decision, until });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= max) break;
      this.#known.delete(oldest);
    }
  }
}
