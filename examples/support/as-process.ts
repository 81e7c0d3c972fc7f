import { constants } from 'node:os';
import type { Command } from './command.js';

/** Runs a command as what this process is for. */
export async function asProcess(run: Command): Promise<void> {
  const stop = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    // Who asks twice does not want to wait. As PID 1 of a container nothing else would end it.
    if (stop.signal.aborted) process.exit(128 + constants.signals[name]);
    stop.abort(name);
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, onSignal);

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
