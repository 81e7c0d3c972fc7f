import type { Figure } from '../figure.js';
import { quantile } from '../statistics.js';
import { Conversation } from './conversation.js';
import { warmUpDials } from './dials.js';

const REQUESTS = 40;

/** What Nagle's algorithm and delayed acknowledgements make of headers and body, or of one event after another. */
export const twoPieces: Figure = {
  name: 'two-pieces',
  title: 'answer in two pieces, the second 1 ms after the first',
  metrics: [{ name: 'p50', unit: 'ms', goals: [{ atMost: 2 }] }],
  warmUp: (contender) => warmUpDials(contender, 1),
  async measure(contender) {
    const times: number[] = [];
    const stream = await contender.dial('twoPieces');
    const conversation = new Conversation(stream);
    for (let request = 0; request < REQUESTS; request += 1) {
      const start = performance.now();
      await conversation.ask(2);
      times.push(performance.now() - start);
    }
    stream.destroy();
    return [quantile(times, 0.5)];
  },
};
