import type { Figure } from '../figure.js';
import { quantile } from '../statistics.js';
import { timeDial, warmUpDials } from './dials.js';
import { SSH2 } from './names.js';

const DIALS = 300;

export const sequentialDials: Figure = {
  name: 'sequential-dials',
  title: 'dial + 1-byte echo, one after the other',
  metrics: [
    { name: 'p50', unit: 'ms', goals: [{ atMost: 1, relativeTo: SSH2 }] },
    { name: 'p99', unit: 'ms', goals: [{ atMost: 1.5 }] },
  ],
  warmUp: (contender) => warmUpDials(contender, 1),
  async measure(contender) {
    const times: number[] = [];
    for (let dial = 0; dial < DIALS; dial += 1) times.push(await timeDial(contender));
    return { values: [quantile(times, 0.5), quantile(times, 0.99)], timesMs: times };
  },
};
