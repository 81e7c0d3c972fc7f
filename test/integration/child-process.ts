import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { onExit } from '../support/reaper.js';

const NATIVE_ADDON = fileURLToPath(new URL('../support/native-addon.ts', import.meta.url));

/** How a child of a test has ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a module beside this file in a process of its own and waits until that has ended by itself.
 *
 * @param order - what the child reads from its standard input, as JSON
 */
export async function runChild(
  module: string,
  order: unknown,
  { env = {}, timeoutMs = 60_000 }: { env?: NodeJS.ProcessEnv; timeoutMs?: number } = {},
): Promise<Ended> {
  const path = fileURLToPath(new URL(module, import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', '--import', NATIVE_ADDON, path], {
    env: { ...process.env, ...env },
    stdio: 'pipe',
  });
  const forget = onExit(() => child.kill('SIGKILL'));
  const deadline = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  child.stdin.on('error', () => undefined); // a child that fails early says why on stderr
  child.stdin.end(JSON.stringify(order));
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    closed,
  ]);
  clearTimeout(deadline);
  forget();
  return { code, signal, stdout, stderr };
}
