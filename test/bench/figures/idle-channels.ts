import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { Absent, type Contender } from '../contender.js';
import { enter, type Figure, type Goal } from '../figure.js';
import { quantile } from '../statistics.js';
import { dialAndAsk } from './dials.js';
import { echoTimes, warmUpEchoes } from './echo.js';
import { destroyAll } from './settled.js';

const ECHOES = 500;
const AT_ONCE = 50;

/** Time in which all channels are to be open: whoever needs longer is stuck, in a limit of open files most often. */
const LIMIT_MS = 30_000;

/** What sshd's channels cost those that are not idle: it looks at each of them whenever a byte comes. */
export const echoAmong1000 = echoAmong(1000, []);
export const echoAmong4000 = echoAmong(4000, [{ atMost: 0.6 }]);

function echoAmong(channels: number, goals: readonly Goal[]): Figure {
  return {
    name: `echo-among-${channels}`,
    title: `1-byte echo with ${channels} idle channels on the node, pools sized for them`,
    metrics: [
      { name: 'p50', unit: 'ms', goals },
      { name: 'p99', unit: 'ms', goals: [] },
    ],
    start: (entrant, course) => enter(entrant, course, { channels: channels + 1 }),
    warmUp: warmUpEchoes,
    async measure(contender) {
      const idle = await holdIdle(contender, channels);
      try {
        const times = await echoTimes(contender, ECHOES);
        return [quantile(times, 0.5), quantile(times, 0.99)];
      } finally {
        await destroyAll(idle);
      }
    },
  };
}

/**
 * Opens as many channels, each of which has carried a byte there and back. Nobody holds them between rounds: with all contenders' at once
 * the endpoints' process would run out of open files.
 *
 * @throws {@link Absent} when the contender cannot hold them
 */
async function holdIdle(contender: Contender, channels: number): Promise<Duplex[]> {
  const held: Duplex[] = [];
  const limit = new AbortController();
  const keep = (stream: Duplex): void => {
    if (limit.signal.aborted) stream.destroy();
    else held.push(stream);
  };
  let left = channels;
  const open = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      keep(await dialAndAsk(contender));
    }
  };
  const outOfTime = delay(LIMIT_MS, undefined, { signal: limit.signal }).then(() => {
    throw new Error(`the others were not open after ${LIMIT_MS / 1000} s`);
  });
  try {
    await Promise.race([Promise.all(Array.from({ length: AT_ONCE }, open)), outOfTime]);
    return held;
  } catch (error) {
    left = 0;
    limit.abort();
    await destroyAll(held);
    const reason = error instanceof Error ? error.message : String(error);
    throw new Absent(`it holds ${held.length} of ${channels} channels: ${reason}`);
  } finally {
    limit.abort();
    await Promise.allSettled([outOfTime]);
  }
}
