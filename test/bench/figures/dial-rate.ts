import type { Figure } from '../figure.js';
import { dialMany, warmUpDials } from './dials.js';

const AT_ONCE = 50;
const DIALS = 2000;

export const dialRate: Figure = {
  name: 'dial-rate',
  title: `dial + 1-byte echo, ${AT_ONCE} at once`,
  metrics: [{ name: 'rate', unit: '/s', goals: [{ atLeast: 0.95, relativeTo: 'ssh2' }] }],
  warmUp: (contender) => warmUpDials(contender, AT_ONCE),
  async measure(contender) {
    const start = performance.now();
    await dialMany(contender, DIALS, AT_ONCE);
    return [DIALS / ((performance.now() - start) / 1000)];
  },
};
