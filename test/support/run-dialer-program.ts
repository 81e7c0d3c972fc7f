import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Orders } from './dialer-program.js';
import { onExit } from './reaper.js';

/** How a run of the program ended. */
export interface Outcome {
  /** The exit code; `null` if it had to be killed, because it did not exit by itself. */
  readonly exitCode: number | null;
  /** What it says came of its scenario. */
  readonly result: string | undefined;
  /** Everything that it has printed. */
  readonly output: string;
}

/** Runs the program in a process of its own until it exits by itself, or is killed after `patienceMs`. */
export async function runDialerProgram(
  orders: Orders,
  environment: NodeJS.ProcessEnv = {},
  patienceMs = 15_000,
): Promise<Outcome> {
  const program = fileURLToPath(new URL('dialer-program.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', program], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  const forget = onExit(() => child.kill('SIGKILL'));
  const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stdin.end(JSON.stringify(orders));
  const exitCode = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  forget();
  return { exitCode, result: /^result: (.*)$/m.exec(output)?.[1], output };
}
