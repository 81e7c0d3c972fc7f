import type { Writable } from 'node:stream';
import { HELP, parseArguments, UsageError } from './arguments.js';
import { explain, isUsage } from './explain.js';
import { readContainerLog } from './read-container-log.js';
import { sourceOf } from './source.js';

/** What the command uses of the process that it runs in. */
export interface Surroundings {
  readonly output: Writable;
  readonly errors: Writable;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Ends the command; the reason is the name of the process signal that asked for it. */
  readonly signal: AbortSignal;
}

const SIGNAL_NUMBERS: Record<string, number> = { SIGINT: 2, SIGTERM: 15 };

/** Runs the command and returns its exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted by Ctrl-C. */
export async function kubeletLogs(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const { output, errors, environment, signal } = surroundings;
  const say = (line: string): void => void errors.write(`${line}\n`);
  try {
    const options = parseArguments(argv, environment);
    if (options === 'help') {
      output.write(HELP);
      return 0;
    }
    if (options.insecureSkipTlsVerify) {
      say('WARNING: the kubelet is not verified: whoever answers can read your token and forge this log');
    }
    const report = options.verbose ? (line: string) => say(`# ${line}`) : () => undefined;
    await readContainerLog(sourceOf(options, environment), { output, signal, report });
    return 0;
  } catch (error) {
    if (signal.aborted) return 128 + (SIGNAL_NUMBERS[String(signal.reason)] ?? 0);
    // `| head` has read enough.
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return 0;
    say(`kubelet-logs: ${explain(error)}${error instanceof UsageError ? ' (--help shows how)' : ''}`);
    return isUsage(error) ? 2 : 1;
  }
}
