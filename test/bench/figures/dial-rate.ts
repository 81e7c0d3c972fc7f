import type { Figure, Goal } from '../figure.js';
import { dialMany, warmUpDials } from './dials.js';
import { GO, SSH2, SSH_FORWARD } from './names.js';

const DIALS = 2000;

export const dialRate = rateOf('dial-rate', 50, [
  { atLeast: 1, relativeTo: SSH2 },
  { atLeast: 1, relativeTo: GO },
  { atLeast: 1.4, relativeTo: SSH_FORWARD },
]);

/** As after a restart of whatever watches a node's pods. */
export const dialBurst = rateOf('dial-burst', 500, []);

function rateOf(name: string, atOnce: number, goals: readonly Goal[]): Figure {
  return {
    name,
    title: `dial + 1-byte echo, ${atOnce} at once`,
    metrics: [{ name: 'rate', unit: '/s', goals }],
    warmUp: (contender) => warmUpDials(contender, atOnce),
    async measure(contender) {
      const start = performance.now();
      await dialMany(contender, DIALS, atOnce);
      return [DIALS / ((performance.now() - start) / 1000)];
    },
  };
}
