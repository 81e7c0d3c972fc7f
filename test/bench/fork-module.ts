import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Runs a TypeScript module in a process of its own, without the flags of this one: a profiler of ours is not the child's. */
export function forkModule(module: URL): ChildProcess {
  return fork(fileURLToPath(module), { execArgv: ['--import', import.meta.resolve('tsx')] });
}
