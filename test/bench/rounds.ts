import { setTimeout as delay } from 'node:timers/promises';
import { Absent } from './contender.js';
import type { Figure } from './figure.js';

/** One metric's number from every round, by contender. */
export type Rounds = ReadonlyMap<string, readonly number[]>;

/** Somebody who can be measured in figures by their names. */
export interface Measured {
  readonly name: string;
  warmUp(figure: string): Promise<unknown>;
  /** One round; one number for each of the figure's metrics. */
  measure(figure: string): Promise<readonly number[]>;
}

/** Lets the other processes finish what the last contender left them. */
const PAUSE_MS = 50;

/**
 * Measures a figure: all contenders warm up, then take turns, round by round, so that whatever else the machine does hits them alike.
 * Each round begins with another contender, because whose turn comes after whose makes a difference. A contender that turns out not to be up
 * to the figure is left out.
 *
 * @returns the rounds of each of the figure's metrics, in their order
 */
export async function measureRounds(
  figure: Pick<Figure, 'name' | 'metrics' | 'rounds' | 'takes'>,
  contenders: readonly Measured[],
  rounds: number,
  progress: (line: string) => void,
): Promise<Rounds[]> {
  const takingPart = new Set(contenders.filter(({ name }) => figure.takes?.(name) ?? true));
  const results = figure.metrics.map(
    () => new Map([...takingPart].map(({ name }) => [name, [] as number[]])),
  );
  const unlessAbsent = async (contender: Measured, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof Absent)) throw error;
      progress(`${figure.name} is measured without ${contender.name}: ${error.message}\n`);
      takingPart.delete(contender);
      for (const rows of results) rows.delete(contender.name);
    }
  };
  for (const contender of takingPart) {
    progress(`${figure.name}: warming up, ${contender.name}`);
    await unlessAbsent(contender, () => contender.warmUp(figure.name));
  }
  const wanted = Math.min(rounds, figure.rounds ?? rounds);
  for (let round = 1; round <= wanted; round += 1) {
    for (const contender of rotated([...takingPart], round)) {
      progress(`${figure.name}: round ${round} of ${wanted}, ${contender.name}`);
      await delay(PAUSE_MS);
      await unlessAbsent(contender, async () => {
        const values = await contender.measure(figure.name);
        for (const [index, value] of values.entries()) results[index]?.get(contender.name)?.push(value);
      });
    }
  }
  return results;
}

function rotated<T>(members: readonly T[], by: number): T[] {
  const first = by % members.length;
  return [...members.slice(first), ...members.slice(0, first)];
}
