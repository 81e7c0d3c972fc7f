import type { Figure, Goal, Metric } from './figure.js';
import type { Rounds } from './rounds.js';
import { quantile, spreadOf, type Spread } from './statistics.js';

/** How one contender did in one metric. */
export interface Row extends Spread {
  readonly contender: string;
  readonly rounds: readonly number[];
  /** Ours divided by this one, round by round, the median of it; `undefined` in our own row. */
  readonly oursRelative: number | undefined;
}

export interface GoalResult {
  /** Such as `≤ 1.15 × ssh2`. */
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
  readonly rows: readonly Row[];
  readonly goals: readonly GoalResult[];
}

/** Works out spreads, ratios and goals from the rounds of each metric. */
export function resultsOf(figure: Figure, rounds: readonly Rounds[], ours: string): Result[] {
  return figure.metrics.map((metric, index) => resultOf(figure, metric, rounds[index] ?? new Map(), ours));
}

function resultOf(figure: Figure, metric: Metric, rounds: Rounds, ours: string): Result {
  const relativeTo = (contender: string): number | undefined =>
    ratio(rounds.get(ours), rounds.get(contender));
  return {
    figure: figure.name,
    title: figure.title,
    metric: metric.name,
    unit: metric.unit,
    rows: [...rounds].map(([contender, values]) => ({
      contender,
      ...spreadOf(values),
      oursRelative: contender === ours ? undefined : relativeTo(contender),
      rounds: values,
    })),
    goals: metric.goals.map((goal) => {
      const own = rounds.get(ours);
      const reached = goal.relativeTo === undefined ? own && quantile(own, 0.5) : relativeTo(goal.relativeTo);
      return {
        goal: textOf(goal, metric.unit),
        reached,
        met: reached === undefined ? undefined : isMet(goal, reached),
      };
    }),
  };
}

/** Round by round, because what disturbs one contender in a round is likely to disturb the next one too. */
function ratio(
  ours: readonly number[] | undefined,
  theirs: readonly number[] | undefined,
): number | undefined {
  if (ours === undefined || theirs === undefined) return undefined;
  return quantile(
    ours.map((value, round) => value / (theirs[round] ?? NaN)),
    0.5,
  );
}

function isMet(goal: Goal, reached: number): boolean {
  return 'atMost' in goal ? reached <= goal.atMost : reached >= goal.atLeast;
}

function textOf(goal: Goal, unit: string): string {
  const bound = 'atMost' in goal ? `≤ ${goal.atMost}` : `≥ ${goal.atLeast}`;
  return goal.relativeTo === undefined ? `${bound} ${unit}` : `${bound} × ${goal.relativeTo}`;
}
