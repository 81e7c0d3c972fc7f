import { existsSync, readFileSync } from 'node:fs';
import { descendantsOf, processTable } from '../support/processes.js';
import type { ContenderProcess } from './contender-process.js';
import type { Measured } from './rounds.js';
import { quantile } from './statistics.js';

/** How often a second the kernel counts what processes use, as it tells them (proc(5), USER_HZ). */
const TICKS_PER_SECOND = 100;

/** Where `utime`, `stime`, and the same of children that have ended stand in `/proc/PID/stat` after the command. */
const TIMES = [11, 12, 13, 14] as const;

/** Only Linux tells what other processes have used. */
export const cpuIsKnown = existsSync('/proc/self/stat');

/** What a figure took of the machine, per round. */
export interface Usage {
  readonly contender: string;
  /** Milliseconds of CPU of the contender's process and its children; the kernel counts in steps of 10. `undefined` off Linux. */
  readonly clientCpuMs: number | undefined;
  /** The same of sshd's processes. */
  readonly sshdCpuMs: number | undefined;
  /** By how much the contender's event loop was late: p99 in milliseconds, the median of the rounds. */
  readonly loopDelayP99Ms: number;
  /** How long each operation took, in milliseconds, over all rounds; empty where a figure has no such thing. */
  readonly timesMs: readonly number[];
}

/** CPU time by process, in milliseconds. */
type CpuTimes = ReadonlyMap<number, number>;

function cpuTimesOf(pids: readonly number[]): CpuTimes {
  return new Map(
    pids.flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        const ticks = TIMES.reduce((sum, index) => sum + Number(fields[index]), 0);
        return [[pid, (ticks / TICKS_PER_SECOND) * 1000] as const];
      } catch {
        return []; // it has ended
      }
    }),
  );
}

/** What processes have used since; one that is new has used all of its time since. */
const since = (before: CpuTimes, after: CpuTimes): number =>
  [...after].reduce((sum, [pid, ms]) => sum + ms - (before.get(pid) ?? 0), 0);

interface Turn {
  readonly clientCpuMs: number;
  readonly sshdCpuMs: number;
  readonly loopDelayP99Ms: number;
  readonly timesMs: readonly number[];
}

/** Notes what contenders use while they are measured. While one has its turn, all that sshd does is for it. */
export class UsageMeter {
  readonly #sshdPids: () => Promise<readonly number[]>;
  readonly #turns = new Map<string, Map<string, Turn[]>>();

  /** @param sshdPids - of all processes of sshd that serve connections */
  constructor(sshdPids: () => Promise<readonly number[]>) {
    this.#sshdPids = sshdPids;
  }

  /** The contender, watched. */
  watch(contender: ContenderProcess): Measured {
    return {
      name: contender.name,
      warmUp: (figure) => contender.warmUp(figure),
      measure: async (figure) => {
        const [clientBefore, sshdBefore] = await this.#cpuTimes(contender);
        const { values, timesMs, loopDelayP99Ms } = await contender.measure(figure);
        const [clientAfter, sshdAfter] = await this.#cpuTimes(contender);
        this.#note(figure, contender.name, {
          clientCpuMs: since(clientBefore, clientAfter),
          sshdCpuMs: since(sshdBefore, sshdAfter),
          loopDelayP99Ms,
          timesMs,
        });
        return values;
      },
    };
  }

  /** What a figure took, a line for each contender. */
  usageOf(figure: string): Usage[] {
    return [...(this.#turns.get(figure) ?? [])].map(([contender, turns]) => ({
      contender,
      clientCpuMs: cpuIsKnown ? mean(turns.map(({ clientCpuMs }) => clientCpuMs)) : undefined,
      sshdCpuMs: cpuIsKnown ? mean(turns.map(({ sshdCpuMs }) => sshdCpuMs)) : undefined,
      loopDelayP99Ms: quantile(
        turns.map(({ loopDelayP99Ms }) => loopDelayP99Ms),
        0.5,
      ),
      timesMs: turns.flatMap(({ timesMs }) => timesMs),
    }));
  }

  async #cpuTimes({ pid }: ContenderProcess): Promise<[CpuTimes, CpuTimes]> {
    if (!cpuIsKnown) return [new Map(), new Map()];
    const clients = [pid, ...descendantsOf(processTable(), pid).map((child) => child.pid)];
    return [cpuTimesOf(clients), cpuTimesOf(await this.#sshdPids())];
  }

  #note(figure: string, contender: string, turn: Turn): void {
    const turns = this.#turns.get(figure) ?? new Map<string, Turn[]>();
    this.#turns.set(figure, turns);
    turns.set(contender, [...(turns.get(contender) ?? []), turn]);
  }
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
