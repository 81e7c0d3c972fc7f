import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * Runs a TypeScript module in a process of its own, without the flags of this one: a profiler of ours is not the child's.
 *
 * @param environment - variables it has beside those of this process
 * @param flags - for Node
 */
export function forkModule(
  module: URL,
  environment: Readonly<Record<string, string>> = {},
  flags: readonly string[] = [],
): ChildProcess {
  return fork(fileURLToPath(module), {
    execArgv: ['--import', import.meta.resolve('tsx'), ...flags],
    env: { ...process.env, ...environment },
  });
}
