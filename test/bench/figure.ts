import type { Contender } from './contender.js';

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

/** Something that is measured, in the same way on every contender. */
export interface Figure<Of = Contender> {
  /** For the command line. */
  readonly name: string;
  readonly title: string;
  readonly metrics: readonly Metric[];
  /** Done once on each contender before the first round. */
  warmUp(contender: Of): Promise<unknown>;
  /** One round on one contender; one number for each of the metrics, in their order. */
  measure(contender: Of): Promise<readonly number[]>;
}
