import { setTimeout as delay } from 'node:timers/promises';
import { startSshd } from '../../support/own-sshd.js';
import { signal } from '../../support/processes.js';
import type { Sshd } from '../../support/sshd.js';
import { Absent } from '../contender.js';
import { enter, type Contestant, type Figure } from '../figure.js';
import { dialAndEcho } from './dials.js';
import { PLAIN_TCP } from './names.js';
import { settled } from './settled.js';

/** Who is not back by then is not coming back. */
const LIMIT_MS = 5000;

/** A dial that has not been answered by then is dead, and the next one is made. */
const DIAL_MS = 1000;

/** Between two dials, so that what is to happen meanwhile can. */
const PAUSE_MS = 1;

/** A connection that is lost soon after the last one is no accident, and is not hurried back; one that has lasted 10 s has lasted. */
const CALM_MS = 11_000;

/** A contender with an sshd that nobody else is connected to. */
interface Killable extends Contestant {
  readonly sshd: Sshd;
}

/**
 * Kills what serves the contender, and dials until it works again.
 *
 * @returns milliseconds from the kill to the first byte that came back
 * @throws {@link Absent} when the contender does not come back
 */
async function recover(contender: Killable): Promise<number> {
  await dialAndEcho(contender);
  const pids = await contender.sshd.connectionPids();
  const start = performance.now();
  for (const pid of pids) signal(pid, 'SIGKILL');
  let reason: unknown;
  while (performance.now() - start < LIMIT_MS) {
    try {
      await withinLimit(dialAndEcho(contender));
      return performance.now() - start;
    } catch (error) {
      reason = error;
    }
    await delay(PAUSE_MS);
  }
  const problem = reason instanceof Error ? reason.message : String(reason);
  throw new Absent(`it has not come back ${LIMIT_MS / 1000} s after its sshd was killed: ${problem}`);
}

async function withinLimit(dial: Promise<void>): Promise<void> {
  const limit = new AbortController();
  const outOfTime = delay(DIAL_MS, undefined, { signal: limit.signal }).then(() => {
    throw new Error(`a dial was not answered within ${DIAL_MS} ms`);
  });
  try {
    await Promise.race([dial, outOfTime]);
  } finally {
    limit.abort();
    await Promise.allSettled([outOfTime]);
  }
}

/** Without it a client that nobody listens to would take the process along, and every other figure with it. */
function ignore(error: unknown): void {
  process.emitWarning(error instanceof Error ? error.message : String(error), 'LostConnection');
}

export const recovery: Figure<Killable> = {
  name: 'recovery',
  title: "from kill -9 of the connection's sshd to the next dial + 1-byte echo that works",
  metrics: [{ name: 'time', unit: 'ms', goals: [{ atMost: 100 }] }],
  rounds: 3,
  takes: (contender) => contender !== PLAIN_TCP,
  async start(entrant, course) {
    const sshd = await startSshd();
    const { address, port, username, privateKey, hostKeys, knownHosts } = sshd;
    const access = { address, port, username, privateKey, hostKeys, knownHosts };
    try {
      const contender = await enter(entrant, { ...course, sshd: access });
      process.on('uncaughtException', ignore);
      const end = contender.close.bind(contender);
      const close = async (): Promise<void> => {
        // Those that have died may wait for ever for their own end.
        await settled(end());
        await sshd.close();
        process.off('uncaughtException', ignore);
      };
      return Object.assign(contender, { sshd, close });
    } catch (error) {
      await sshd.close();
      throw error;
    }
  },
  warmUp: recover,
  async measure(contender) {
    await delay(CALM_MS);
    return [await recover(contender)];
  },
};
