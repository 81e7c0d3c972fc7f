import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Contender } from './contender.js';
import type { Figure } from './figure.js';

/** One metric's number from every round, by contender. */
export type Rounds = ReadonlyMap<string, readonly number[]>;

/** Lets the other processes finish what the last contender left them. */
const PAUSE_MS = 50;

/**
 * Measures a figure: all contenders warm up, then take turns, round by round, so that whatever else the machine does hits them alike.
 *
 * @returns the rounds of each of the figure's metrics, in their order
 */
export async function measureRounds(
  figure: Figure,
  contenders: readonly Contender[],
  rounds: number,
  progress: (line: string) => void,
): Promise<Rounds[]> {
  const results = figure.metrics.map(() => new Map(contenders.map(({ name }) => [name, [] as number[]])));
  for (let round = 0; round <= rounds; round += 1) {
    for (const contender of contenders) {
      progress(
        `${figure.name}: ${round === 0 ? 'warming up' : `round ${round} of ${rounds}`}, ${contender.name}`,
      );
      collectGarbage();
      await delay(PAUSE_MS);
      const values = await figure.measure(
        contender,
        round === 0 ? figure.warmUpOperations : figure.operations,
      );
      if (round === 0) continue;
      for (const [index, value] of values.entries()) results[index]?.get(contender.name)?.push(value);
    }
  }
  return results;
}

setFlagsFromString('--expose-gc');
/** So that nobody pays for what another has left. */
const collectGarbage = runInNewContext('gc') as () => void;
