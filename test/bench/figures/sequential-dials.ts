import type { Figure } from '../figure.js';
import { quantile } from '../statistics.js';
import { Conversation } from './conversation.js';
import { warmUpDials } from './dials.js';

const DIALS = 300;

export const sequentialDials: Figure = {
  name: 'sequential-dials',
  title: 'dial + 1-byte echo, one after the other',
  metrics: [
    { name: 'p50', unit: 'ms', goals: [{ atMost: 1.15, relativeTo: 'ssh2' }] },
    { name: 'p99', unit: 'ms', goals: [{ atMost: 1.5 }] },
  ],
  warmUp: (contender) => warmUpDials(contender, 1),
  async measure(contender) {
    const times: number[] = [];
    for (let dial = 0; dial < DIALS; dial += 1) {
      const start = performance.now();
      const stream = await contender.dial('echo');
      await new Conversation(stream).ask(1);
      times.push(performance.now() - start);
      stream.destroy();
    }
    return [quantile(times, 0.5), quantile(times, 0.99)];
  },
};
