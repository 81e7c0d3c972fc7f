import type { Course } from './contender.js';

/*
 * What goes between the benchmark and a contender's process: one request at a time, each answered by one reply. Everything is plain data.
 */

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
  /** After `measure` one number for each of the figure's metrics, else none. */
  | { readonly kind: 'done'; readonly values: readonly number[] }
  /** The contender cannot take part. */
  | { readonly kind: 'absent'; readonly reason: string }
  | { readonly kind: 'failed'; readonly problem: string };
