import { createPool, type Pool } from 'generic-pool';
import type { AbortableSignal } from '../abortable-signal.js';
import { PoolExhaustedError } from '../errors.js';

export interface LaneQueueOptions<Lane> {
  /** Lanes that can be borrowed at once. */
  max: number;
  /** Dials that may wait for a lane. */
  maxQueue: number;
  /** How long a lane may lie unused before it is destroyed, in milliseconds. */
  idleTimeoutMs: number;
  /** Makes a lane, or returns `undefined` when there is no room for one; `LaneQueue.roomAppeared` has it called again. */
  create: () => Lane | undefined;
  /** Whether a lane that lay idle can still be used. */
  validate: (lane: Lane) => boolean;
  destroy: (lane: Lane) => void;
}

/** A dial that waits for a lane. */
interface Waiter<Lane> {
  readonly grant: (lane: Lane) => void;
  readonly refuse: (reason: unknown) => void;
}

/**
 * Borrowing over generic-pool, with the two things that it lacks.
 *
 * A waiter can give up its place: generic-pool's requests cannot be withdrawn, so a request stands for nobody in particular here. Whichever
 * waiter has waited longest gets the lane, and there are never more requests than there have been waiters at once.
 *
 * A lane that cannot be made is no error: generic-pool would try again without end and without delay (coopernurse/node-pool#175), so
 * `create` never rejects but stays pending until there is room.
 */
export class LaneQueue<Lane extends object> {
  readonly #options: LaneQueueOptions<Lane>;
  /** Made with the first dial: a fleet has many nodes that nobody dials. */
  #pool: Pool<Lane> | undefined;
  readonly #waiters = new Set<Waiter<Lane>>();
  /** Requests made of generic-pool and not granted yet. */
  #requests = 0;
  /** Lanes that generic-pool waits for. */
  readonly #unmade = new Set<(lane: Lane) => void>();
  #closed = false;

  constructor(options: LaneQueueOptions<Lane>) {
    this.#options = options;
  }

  /** Lanes in use. */
  get borrowed(): number {
    return this.#pool?.borrowed ?? 0;
  }

  /** Dials that wait for a lane. */
  get pending(): number {
    return this.#waiters.size;
  }

  /** Whether dials wait for lanes that there is no room for. */
  get needsRoom(): boolean {
    return this.#unmade.size > 0 && this.#waiters.size > 0;
  }

  /**
   * Borrows a lane, or waits for one in turn.
   *
   * @throws the signal's reason, or {@link PoolExhaustedError} when too many wait already
   */
  acquire(signal: AbortableSignal): Promise<Lane> {
    const { max, maxQueue } = this.#options;
    if (signal.aborted) return Promise.reject(signal.reason);
    if (this.borrowed + this.#waiters.size >= max + maxQueue) {
      return Promise.reject(
        new PoolExhaustedError(`all ${max} channels are in use and ${maxQueue} dials wait for one`),
      );
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => waiter.refuse(signal.reason);
      const settle = (): void => {
        signal.removeEventListener('abort', onAbort);
        this.#waiters.delete(waiter);
      };
      const waiter: Waiter<Lane> = {
        grant: (lane) => {
          settle();
          resolve(lane);
        },
        refuse: (reason) => {
          settle();
          reject(reason);
        },
      };
      signal.addEventListener('abort', onAbort);
      this.#waiters.add(waiter);
      if (this.#requests < this.#waiters.size) this.#request();
      else this.roomAppeared();
    });
  }

  /** Ends the wait of all who wait now. */
  refuseWaiters(reason: Error): void {
    for (const waiter of this.#waiters) waiter.refuse(reason);
  }

  /** Gives a lane back for the next to use. */
  release(lane: Lane): void {
    void this.#pool?.release(lane);
  }

  /** Gives a lane back that nobody can use any more. */
  discard(lane: Lane): void {
    void this.#pool?.destroy(lane);
  }

  /** Makes the lanes that are waited for, as far as there is room. */
  roomAppeared(): void {
    for (const settle of this.#unmade) {
      // Those who waited for it may have given up.
      const lane = this.#waiters.size > 0 ? this.#options.create() : undefined;
      if (lane === undefined) return;
      this.#unmade.delete(settle);
      settle(lane);
    }
  }

  /** Ends the evictor and forgets every lane. To be called when no dial is under way and every lane has been given back. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const settle of this.#unmade) settle(placeholder() as Lane);
    this.#unmade.clear();
    await this.#pool?.drain();
    await this.#pool?.clear();
  }

  #request(): void {
    this.#requests += 1;
    this.#pool ??= this.#createPool();
    void this.#pool.acquire().then((lane) => {
      this.#requests -= 1;
      this.#grant(lane);
    });
  }

  #createPool(): Pool<Lane> {
    const { max, idleTimeoutMs, destroy } = this.#options;
    return createPool<Lane>(
      {
        create: () => this.#create(),
        destroy: (lane) => {
          if (!this.#closed) destroy(lane);
          return Promise.resolve();
        },
      },
      {
        max,
        min: 0,
        autostart: false,
        // Last in, first out: the lanes of a connection that is no longer needed fall idle together.
        fifo: false,
        idleTimeoutMillis: idleTimeoutMs,
        evictionRunIntervalMillis: Math.ceil(idleTimeoutMs / 2),
        numTestsPerEvictionRun: max,
      },
    );
  }

  #grant(lane: Lane): void {
    const [waiter] = this.#waiters;
    if (waiter === undefined) {
      this.release(lane);
    } else if (this.#options.validate(lane)) {
      waiter.grant(lane);
    } else {
      this.discard(lane);
      this.#request();
    }
  }

  #create(): Promise<Lane> {
    const lane = this.#closed ? (placeholder() as Lane) : this.#options.create();
    if (lane !== undefined) return Promise.resolve(lane);
    return new Promise((resolve) => this.#unmade.add(resolve));
  }
}

/**
 * Satisfies one of generic-pool's outstanding requests at the end, when nobody stands behind it any more. Each is an object of its own,
 * because generic-pool knows what it has lent by identity.
 */
const placeholder = (): object => ({});
