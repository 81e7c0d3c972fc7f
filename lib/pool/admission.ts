import type { AbortableSignal } from '../abortable-signal.js';
import type { Patience } from '../ssh/patience.js';
import type { HandshakeBound, Standing } from './handshake-permits.js';
import type { Permit } from './semaphore.js';

/**
 * How long a node may say nothing, in milliseconds, when others wait to be connected. An sshd that is well says who it is at once; one that
 * was given up like that is tried again with all the time there is.
 */
const SILENCE_MS = 2000;

/** What one attempt to connect has to be granted. */
export class Admission {
  readonly #bounds: readonly HandshakeBound[];
  readonly #permits: Permit[] = [];

  /** @param bounds - on handshakes under way, taken in this order */
  constructor(bounds: readonly HandshakeBound[]) {
    this.#bounds = bounds;
  }

  /**
   * Waits for its turn.
   *
   * @returns what the attempt may take, unless it has all the time there is
   * @throws the signal's reason
   */
  async enter(signal: AbortableSignal, standing: Standing): Promise<Patience | undefined> {
    try {
      for (const bound of this.#bounds) this.#permits.push(await bound.acquire(signal, standing));
      if (signal.aborted) throw signal.reason;
    } catch (error) {
      this.leave();
      throw error;
    }
    const isOver = (): boolean => this.#bounds.some(({ isWanted }) => isWanted);
    return standing === 'silent' ? undefined : { silenceMs: SILENCE_MS, isOver };
  }

  /** Gives its place to others; more than once is as good as once. */
  leave(): void {
    for (const permit of this.#permits.splice(0)) permit.release();
  }
}
