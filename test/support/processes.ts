import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** One line of the process table. */
export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  /** Name of the program, as the kernel shortens it. */
  readonly command: string;
  /** Dead, but not yet reaped by its parent. */
  readonly zombie: boolean;
  /** When it was started, in an unspecified form: tells a process from a later one with the same pid. */
  readonly startedAt: string;
}

/**
 * Reads one `/proc/PID/stat` (proc(5)). The command stands in parentheses and may itself hold spaces and
 * parentheses.
 */
export function parseStat(line: string): ProcessInfo | undefined {
  const match = /^(\d+) \((.*)\) (\S) (\d+) (.*)$/s.exec(line.trim());
  if (match === null) return undefined;
  const [, pid = '', command = '', state = '', parent = '', rest = ''] = match;
  const startedAt = rest.split(' ')[17] ?? '';
  return {
    pid: Number(pid),
    parent: Number(parent),
    command,
    zombie: state === 'Z' || state === 'X',
    startedAt,
  };
}

/** The process table from Linux's `/proc`. */
export function tableFromProc(): ProcessInfo[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      } catch {
        return []; // it ended between the two calls
      }
    });
}

/** The process table from `ps`, for systems without `/proc`. */
export function tableFromPs(): ProcessInfo[] {
  const output = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,state=,lstart=,comm='], { encoding: 'utf8' });
  return output.split('\n').flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\S+\s+\S+\s+\S+)\s+(.*)$/.exec(line);
    if (match === null) return [];
    const [, pid, parent, state = '', startedAt = '', command = ''] = match;
    return { pid: Number(pid), parent: Number(parent), command, zombie: state.startsWith('Z'), startedAt };
  });
}

/** All processes of this machine that this process can see. */
export function processTable(): ProcessInfo[] {
  return existsSync('/proc/self/stat') ? tableFromProc() : tableFromPs();
}

/** Live children of a process. */
export function childrenOf(table: readonly ProcessInfo[], pid: number): ProcessInfo[] {
  return table.filter((process) => process.parent === pid && !process.zombie);
}

/** Live descendants of a process, parents before their children. */
export function descendantsOf(table: readonly ProcessInfo[], pid: number): ProcessInfo[] {
  return childrenOf(table, pid).flatMap((child) => [child, ...descendantsOf(table, child.pid)]);
}

/** Whether that very process, not another with its pid, is in the table and alive. */
export function isAlive(table: readonly ProcessInfo[], process: ProcessInfo): boolean {
  return table.some(
    ({ pid, startedAt, zombie }) => pid === process.pid && startedAt === process.startedAt && !zombie,
  );
}

/** Sends a signal; a process that is gone already is no error. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Polls until a condition holds: for things the kernel has no event for, such as the end of a process that is
 * not our child.
 *
 * @throws after `timeoutMs` (10 s), naming what was waited for
 */
export async function waitUntil(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await delay(5);
  }
}
