import type { Member, Members } from './members.js';

/** How much earlier or later than its age says a connection is replaced, so that those of a fleet are not all replaced at once. */
const JITTER = 0.1;

/** Longest delay of `setTimeout`. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface AgeingOptions {
  readonly members: Members;
  /** Age in milliseconds, give or take a tenth, at which a connection is replaced. Default: none. */
  readonly maxAgeMs: number | undefined;
  /** How many may drain at a time. */
  readonly maxDraining: number;
  /** Connections that drain now. */
  readonly draining: ReadonlySet<unknown>;
  /** How long one that has replaced another waits for a first dial, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** Called with a connection that has reached its age, if `grow` is to be called with it. */
  readonly onDue: (member: Member) => void;
  /** Has a connection drain: its successor is ready. */
  readonly onReplaced: (member: Member) => void;
  /** Closes a connection if nobody uses it and it need not be kept up. */
  readonly releaseUnused: (member: Member) => void;
}

/** Has each connection of a node replaced at a certain age: it takes dials until another is ready, and then drains. */
export class Ageing {
  readonly #options: AgeingOptions;

  constructor(options: AgeingOptions) {
    this.#options = options;
  }

  /** A connection has become ready: its age counts from now, and it may be the successor of another. */
  ready(member: Member): void {
    this.#limitAge(member);
    this.#succeed(member);
  }

  /** Lets a connection grow old, or has it wait for room to drain. */
  grow(member: Member): void {
    const { members } = this.#options;
    if (this.mayLeave(member)) members.growOld(member);
    else members.postpone(member);
  }

  /** Whether there is room for it among those that drain and those that will, because streams may hold any of them for good. */
  mayLeave(member: Member): boolean {
    const { members, draining, maxDraining } = this.#options;
    const others = members.isOld(member) ? members.old - 1 : members.old;
    return draining.size + others < maxDraining;
  }

  #limitAge(member: Member): void {
    const { maxAgeMs, onDue } = this.#options;
    if (maxAgeMs === undefined) return;
    const ageMs = maxAgeMs * (1 + JITTER * (2 * Math.random() - 1));
    member.timers.push(setTimeout(() => onDue(member), Math.min(ageMs, MAX_TIMER_MS)).unref());
  }

  /** Lets one that has grown old drain, now that another is ready. */
  #succeed(successor: Member): void {
    const { members, idleTimeoutMs, onReplaced, releaseUnused } = this.#options;
    const { oldest } = members;
    if (oldest === undefined) return;
    onReplaced(oldest);
    // If no dial ever comes to it, no lane tells that it is not needed.
    successor.timers.push(setTimeout(() => releaseUnused(successor), idleTimeoutMs).unref());
  }
}
