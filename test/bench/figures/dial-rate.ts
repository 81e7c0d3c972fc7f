import type { Figure } from '../figure.js';
import { Conversation } from './conversation.js';

const AT_ONCE = 50;

export const dialRate: Figure = {
  name: 'dial-rate',
  title: `dial + 1-byte echo, ${AT_ONCE} at once`,
  metrics: [{ name: 'rate', unit: '/s', goals: [{ atLeast: 0.95, relativeTo: 'ssh2' }] }],
  operations: 2000,
  warmUpOperations: 2000,
  async measure(contender, operations) {
    let left = operations;
    const work = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        const stream = await contender.dial('echo');
        await new Conversation(stream).ask(1);
        stream.destroy();
      }
    };
    const start = performance.now();
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return [operations / ((performance.now() - start) / 1000)];
  },
};
