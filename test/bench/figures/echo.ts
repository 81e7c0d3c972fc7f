import type { Contender } from '../contender.js';
import type { Figure } from '../figure.js';
import { quantile } from '../statistics.js';
import { Conversation } from './conversation.js';

const ECHOES = 2000;

/** Until the compiler has seen it all. */
const WARM_UP_ECHOES = 5000;

/** How long each 1-byte echo on one stream took, in milliseconds. */
export async function echoTimes(contender: Contender, echoes: number): Promise<number[]> {
  const times: number[] = [];
  const stream = await contender.dial('echo');
  const conversation = new Conversation(stream);
  for (let echo = 0; echo < echoes; echo += 1) {
    const start = performance.now();
    await conversation.ask(1);
    times.push(performance.now() - start);
  }
  stream.destroy();
  return times;
}

export const warmUpEchoes = (contender: Contender): Promise<unknown> => echoTimes(contender, WARM_UP_ECHOES);

export const echo: Figure = {
  name: 'echo',
  title: '1-byte echo on an open stream, no other on the node',
  metrics: [
    { name: 'p50', unit: 'ms', goals: [] },
    { name: 'p99', unit: 'ms', goals: [] },
  ],
  warmUp: warmUpEchoes,
  async measure(contender) {
    const times = await echoTimes(contender, ECHOES);
    return [quantile(times, 0.5), quantile(times, 0.99)];
  },
};
