import type { Contender, Course, Entrant, Wish } from './contender.js';

/**
 * A bound on ours: an absolute one; or in the same round, with `relativeTo` one in multiples of another contender, with `beyond` one on what
 * is added to it.
 */
export type Goal =
  | { readonly atMost: number; readonly relativeTo?: string }
  | { readonly atMost: number; readonly beyond: string }
  | { readonly atLeast: number; readonly relativeTo?: string };

/** One number of a figure. */
export interface Metric {
  /** Such as `p50`; unique within the figure. */
  readonly name: string;
  readonly unit: string;
  readonly goals: readonly Goal[];
}

/** What a round gave. */
export interface Outcome {
  /** One number for each of the metrics, in their order. */
  readonly values: readonly number[];
  /** How long each operation took, in milliseconds: `--plot` makes a curve of it. */
  readonly timesMs: readonly number[];
}

/** A contender, and what it was started with. */
export interface Contestant extends Contender {
  readonly course: Course;
}

export async function enter(entrant: Entrant, course: Course, wish?: Wish): Promise<Contestant> {
  return Object.assign(await entrant.start(course, wish), { course });
}

/**
 * Something that is measured, in the same way on every contender. One that turns out not to be up to it is left out: whatever the figure does
 * with it then throws `Absent`.
 */
export interface Figure<Of = Contestant> {
  /** For the command line. */
  readonly name: string;
  readonly title: string;
  readonly metrics: readonly Metric[];
  /** At most so many rounds, for what takes long. Default: as many as are asked for. */
  readonly rounds?: number;
  /** Whether the figure means anything for this contender. Default: for all. */
  takes?(contender: string): boolean;
  /** Starts a contender for this figure alone, which is closed before the next figure. Default: the one that figures share. */
  start?(entrant: Entrant, course: Course): Promise<Of>;
  /** Done once on each contender before the first round. */
  warmUp(contender: Of): Promise<unknown>;
  /** One round on one contender; one number for each of the metrics, in their order. */
  measure(contender: Of): Promise<readonly number[] | Outcome>;
}

export const outcomeOf = (given: readonly number[] | Outcome): Outcome =>
  'values' in given && !Array.isArray(given)
    ? (given as Outcome)
    : { values: given as readonly number[], timesMs: [] };
