import type { Connection } from '../ssh/connection.js';
import type { Admission } from './admission.js';
import type { ConnectionReport } from './connection-report.js';

/** A connection that takes dials, and what is known of it. */
export interface Member {
  readonly connection: Connection;
  readonly report: ConnectionReport;
  /** Held while it is being made. */
  readonly admission: Admission;
  /** Settles with the attempt to connect. */
  readonly ready: Promise<void>;
  /** Lanes that stand on the connection, borrowed or idle. */
  lanes: number;
  /** When it became ready, of `performance.now()`. */
  readyAtMs: number | undefined;
  /** Dials in a row that the node has not answered in time. */
  openTimeouts: number;
  /** Run for no longer than it is a member. */
  readonly timers: NodeJS.Timeout[];
}

/**
 * The connections of a node that take dials. Those that have grown old still do, when no other is ready, until there is a successor; they
 * do not count among those there may be.
 */
export class Members implements Iterable<Member> {
  readonly #fresh = new Set<Member>();
  readonly #old = new Set<Member>();
  /** Those of the fresh ones that would have grown old, had there been room for more to drain. */
  readonly #postponed = new Set<Member>();

  get size(): number {
    return this.#fresh.size + this.#old.size;
  }

  /** How many there are that have not grown old. */
  get fresh(): number {
    return this.#fresh.size;
  }

  /** How many there are that have grown old. */
  get old(): number {
    return this.#old.size;
  }

  /** The one that grew old first. */
  get oldest(): Member | undefined {
    const [oldest] = this.#old;
    return oldest;
  }

  /** Whether more have grown old than are being made. */
  get lackSuccessors(): boolean {
    if (this.#old.size === 0) return false;
    return this.#old.size > [...this.#fresh].filter(({ readyAtMs }) => readyAtMs === undefined).length;
  }

  *[Symbol.iterator](): Iterator<Member> {
    yield* this.#fresh;
    yield* this.#old;
  }

  has(member: Member): boolean {
    return this.#fresh.has(member) || this.#old.has(member);
  }

  isOld(member: Member): boolean {
    return this.#old.has(member);
  }

  /** The one to put a lane on: a ready one before one that has grown old, and that before one that is being made. */
  withRoom(maxLanes: number): Member | undefined {
    let connecting: Member | undefined;
    for (const member of this) {
      if (member.lanes >= maxLanes) continue;
      if (member.connection.state === 'ready') return member;
      connecting ??= member;
    }
    return connecting;
  }

  add(member: Member): void {
    this.#fresh.add(member);
  }

  growOld(member: Member): void {
    if (this.#fresh.delete(member)) this.#old.add(member);
  }

  /** Keeps in mind that it was to grow old. */
  postpone(member: Member): void {
    if (this.#fresh.has(member)) this.#postponed.add(member);
  }

  /** Those that were to grow old, that postponed first to begin with; they are not kept in mind any longer. */
  takePostponed(): readonly Member[] {
    const members = [...this.#postponed];
    this.#postponed.clear();
    return members;
  }

  delete(member: Member): void {
    this.#fresh.delete(member);
    this.#old.delete(member);
    for (const timer of member.timers) clearTimeout(timer);
  }
}
