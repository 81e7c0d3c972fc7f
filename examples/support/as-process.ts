import type { Command } from './command.js';

/** Runs a command as what this process is for. */
export async function asProcess(run: Command): Promise<void> {
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort(name));

  // Once the reader of a pipe has gone there may be more than one error to ignore.
  process.stdout.on('error', () => undefined);

  process.exitCode = await run(process.argv.slice(2), {
    input: process.stdin,
    output: process.stdout,
    errors: process.stderr,
    // A terminal that does not know its width says 0.
    width: process.stderr.isTTY ? process.stderr.columns || 80 : undefined,
    environment: process.env,
    signal: stop.signal,
  });
}
