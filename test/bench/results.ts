import type { Figure, Goal, Metric } from './figure.js';
import type { Rounds } from './rounds.js';
import type { Usage } from './usage.js';
import { quantile, spreadOf, type Spread } from './statistics.js';

/** How one contender did in one metric. */
export interface Row extends Spread {
  readonly contender: string;
  readonly rounds: readonly number[];
  /** Ours divided by this one, round by round, the median of it; `undefined` in our own row. */
  readonly oursRelative: number | undefined;
}

export interface GoalResult {
  /** Such as `≤ 1.15 × ssh2` or `≤ 1 ms more than ssh2`. */
  readonly goal: string;
  /** What was reached, in the same unit; `undefined` when what it takes was not measured. */
  readonly reached: number | undefined;
  readonly met: boolean | undefined;
}

/** One metric of one figure. */
export interface Result {
  readonly figure: string;
  readonly title: string;
  readonly metric: string;
  readonly unit: string;
  /** The contender that goals are set for, and that the others are compared with. */
  readonly ours: string;
  readonly rows: readonly Row[];
  readonly goals: readonly GoalResult[];
  /** What the whole figure took of the machine, where it is watched. */
  readonly usage?: readonly Usage[];
}

type Titled = Pick<Figure, 'name' | 'title' | 'metrics'>;

/** Works out spreads, ratios and goals from the rounds of each metric. */
export function resultsOf(figure: Titled, rounds: readonly Rounds[], ours: string): Result[] {
  return figure.metrics.map((metric, index) => resultOf(figure, metric, rounds[index] ?? new Map(), ours));
}

function resultOf(figure: Titled, metric: Metric, rounds: Rounds, ours: string): Result {
  const own = rounds.get(ours);
  const relativeTo = (contender: string): number | undefined =>
    comparison(own, rounds.get(contender), (value, theirs) => value / theirs);
  const beyond = (contender: string): number | undefined =>
    comparison(own, rounds.get(contender), (value, theirs) => value - theirs);
  const reachedOf = (goal: Goal): number | undefined => {
    if ('beyond' in goal) return beyond(goal.beyond);
    return goal.relativeTo === undefined ? own && quantile(own, 0.5) : relativeTo(goal.relativeTo);
  };
  return {
    figure: figure.name,
    title: figure.title,
    metric: metric.name,
    unit: metric.unit,
    ours,
    rows: [...rounds].map(([contender, values]) => ({
      contender,
      ...spreadOf(values),
      oursRelative: contender === ours ? undefined : relativeTo(contender),
      rounds: values,
    })),
    goals: metric.goals.map((goal) => {
      const reached = reachedOf(goal);
      return {
        goal: textOf(goal, metric.unit),
        reached,
        met: reached === undefined ? undefined : isMet(goal, reached),
      };
    }),
  };
}

/** Round by round, because what disturbs one contender in a round is likely to disturb the next one too. */
function comparison(
  ours: readonly number[] | undefined,
  theirs: readonly number[] | undefined,
  compare: (ours: number, theirs: number) => number,
): number | undefined {
  if (ours === undefined || theirs === undefined) return undefined;
  return quantile(
    ours.map((value, round) => compare(value, theirs[round] ?? NaN)),
    0.5,
  );
}

function isMet(goal: Goal, reached: number): boolean {
  return 'atMost' in goal ? reached <= goal.atMost : reached >= goal.atLeast;
}

function textOf(goal: Goal, unit: string): string {
  const bound = 'atMost' in goal ? `≤ ${goal.atMost}` : `≥ ${goal.atLeast}`;
  if ('beyond' in goal) return `${bound} ${unit} more than ${goal.beyond}`;
  return goal.relativeTo === undefined ? `${bound} ${unit}` : `${bound} × ${goal.relativeTo}`;
}
