import type { Figure } from '../figure.js';
import { quantile } from '../statistics.js';
import { Conversation } from './conversation.js';

/** What Nagle's algorithm and delayed acknowledgements make of headers and body, or of one event after another. */
export const twoPieces: Figure = {
  name: 'two-pieces',
  title: 'answer in two pieces 1 ms apart',
  metrics: [{ name: 'p50', unit: 'ms', goals: [{ atMost: 3 }] }],
  operations: 40,
  warmUpOperations: 10,
  async measure(contender, operations) {
    const times: number[] = [];
    const stream = await contender.dial('twoPieces');
    const conversation = new Conversation(stream);
    for (let request = 0; request < operations; request += 1) {
      const start = performance.now();
      await conversation.ask(2);
      times.push(performance.now() - start);
    }
    stream.destroy();
    return [quantile(times, 0.5)];
  },
};
