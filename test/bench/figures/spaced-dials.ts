import { setTimeout as delay } from 'node:timers/promises';
import type { Figure } from '../figure.js';
import { quantile } from '../statistics.js';
import { dialMany, timeDial } from './dials.js';

const DIALS = 100;
const PAUSE_MS = 3;

/** Without pauses: it is the same code. */
const WARM_UP_DIALS = 1500;

/** After a pause a connection has acknowledged all it got, and Nagle's algorithm meets what was left of the last dial. */
export const spacedDials: Figure = {
  name: 'spaced-dials',
  title: `dial + 1-byte echo, each ${PAUSE_MS} ms after the last`,
  metrics: [
    { name: 'p50', unit: 'ms', goals: [{ atMost: 2 }] },
    { name: 'p99', unit: 'ms', goals: [] },
  ],
  warmUp: (contender) => dialMany(contender, WARM_UP_DIALS, 1),
  async measure(contender) {
    const times: number[] = [];
    for (let dial = 0; dial < DIALS; dial += 1) {
      await delay(PAUSE_MS);
      times.push(await timeDial(contender));
    }
    return [quantile(times, 0.5), quantile(times, 0.99)];
  },
};
