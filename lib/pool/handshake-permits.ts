import type { AbortableSignal } from '../abortable-signal.js';
import { integer } from '../validation.js';
import type { Permit } from './semaphore.js';

/**
 * What the last attempt to connect to a node tells of the next.
 *
 * - `proven`: the node has been connected.
 * - `unknown`: it never was.
 * - `silent`: it was given up because it took too long.
 */
export type Standing = 'proven' | 'unknown' | 'silent';

/** A bound on handshakes under way. */
export interface HandshakeBound {
  /** @throws the signal's reason, if it fires before there is a permit */
  acquire(signal: AbortableSignal, standing: Standing): Promise<Permit>;
  /** Whether a node that is likely to answer waits for a permit. */
  readonly isWanted?: boolean;
}

interface Waiter {
  readonly grant: (permit: Permit) => void;
}

/** Whom a free permit goes to first. */
const ORDER: readonly Standing[] = ['proven', 'unknown', 'silent'];

/** The part of the permits that silent nodes leave to the others. */
const RESERVE = 1 / 4;

/**
 * The bound on handshakes under way over all nodes. A node that hangs holds its permit until the attempt is given up; so that those that
 * hang leave some to those that do not, silent nodes may hold only three quarters of them, and what is free goes to them last. Within a
 * standing, first come is first served.
 */
export class HandshakePermits implements HandshakeBound {
  readonly #limit: number;
  readonly #limitOfSilent: number;
  #held = 0;
  #heldBySilent = 0;
  readonly #waiting: Record<Standing, Set<Waiter>> = {
    proven: new Set(),
    unknown: new Set(),
    silent: new Set(),
  };

  /**
   * @param limit - how many permits there are, at least 1
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  constructor(limit: number) {
    integer(1, Number.MAX_SAFE_INTEGER)(limit, 'limit');
    this.#limit = limit;
    this.#limitOfSilent = Math.max(1, limit - Math.ceil(limit * RESERVE));
  }

  get isWanted(): boolean {
    return this.#waiting.proven.size > 0 || this.#waiting.unknown.size > 0;
  }

  acquire(signal: AbortableSignal, standing: Standing): Promise<Permit> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) throw signal.reason;
      const waiting = this.#waiting[standing];
      const onAbort = (): void => {
        signal.removeEventListener('abort', onAbort);
        waiting.delete(waiter);
        reject(signal.reason);
      };
      const waiter: Waiter = {
        grant: (permit) => {
          signal.removeEventListener('abort', onAbort);
          resolve(permit);
        },
      };
      signal.addEventListener('abort', onAbort);
      waiting.add(waiter);
      this.#handOut();
    });
  }

  #handOut(): void {
    for (const standing of ORDER) {
      for (const waiter of this.#waiting[standing]) {
        if (!this.#mayTake(standing)) break;
        this.#waiting[standing].delete(waiter);
        waiter.grant(this.#permit(standing));
      }
    }
  }

  #mayTake(standing: Standing): boolean {
    if (this.#held >= this.#limit) return false;
    return standing !== 'silent' || this.#heldBySilent < this.#limitOfSilent;
  }

  #permit(standing: Standing): Permit {
    this.#count(standing, 1);
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      this.#count(standing, -1);
      this.#handOut();
    };
    return { release, [Symbol.dispose]: release };
  }

  #count(standing: Standing, change: 1 | -1): void {
    this.#held += change;
    if (standing === 'silent') this.#heldBySilent += change;
  }
}
