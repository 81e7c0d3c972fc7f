import type { Course } from './contender.js';
import type { Outcome } from './figure.js';

/*
 * What goes between the benchmark and a contender's process: one request at a time, each answered by one reply. Everything is plain data.
 */

/** A round of a figure, as the contender's process sees it. */
export interface Measurement extends Outcome {
  /** By how much its event loop was late: p99, in milliseconds. */
  readonly loopDelayP99Ms: number;
}

export type Request =
  | {
      readonly kind: 'start';
      readonly contender: string;
      readonly against: string | undefined;
      readonly course: Course;
    }
  | { readonly kind: 'warmUp' | 'measure'; readonly figure: string }
  | { readonly kind: 'close' };

export type Reply =
  | { readonly kind: 'done' }
  | ({ readonly kind: 'measured' } & Measurement)
  /** The contender cannot take part. */
  | { readonly kind: 'absent'; readonly reason: string }
  | { readonly kind: 'failed'; readonly problem: string };
