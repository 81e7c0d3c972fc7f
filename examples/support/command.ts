import type { Readable, Writable } from 'node:stream';
import { CommandLine, UsageError, type Environment, type OptionTypes } from './command-line.js';
import { explain, isUsage, type Hints } from './explain.js';

/** What a command uses of the process that it runs in. */
export interface Surroundings {
  /** Default: nothing to read. */
  readonly input?: Readable | undefined;
  readonly output: Writable;
  readonly errors: Writable;
  /** Of the terminal that `errors` is; `undefined` if it is none. */
  readonly width?: number | undefined;
  readonly environment: Environment;
  /** Ends the command; the reason is the name of the process signal that asked for it. */
  readonly signal: AbortSignal;
}

/** Runs with a command line and resolves with the exit code. */
export type Command = (argv: readonly string[], surroundings: Surroundings) => Promise<number>;

export interface CommandDefinition<Options extends OptionTypes> {
  readonly name: string;
  readonly help: string;
  readonly options: Options;
  readonly hints?: Hints;
  /** Resolves with the exit code. */
  run(line: CommandLine<Options>, surroundings: Surroundings): Promise<number>;
}

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

/**
 * A command with `--help`, whose failures are one line on stderr. Exit codes of its own: 0 done, 1 failed, 2 wrong usage, 130 interrupted by
 * Ctrl-C.
 */
export function command<const Options extends OptionTypes>(definition: CommandDefinition<Options>): Command {
  const { name, help, hints } = definition;
  const options = { ...definition.options, help: { type: 'boolean', short: 'h' } } as const;
  return async (argv, surroundings) => {
    const { output, errors, environment, signal } = surroundings;
    try {
      const line = new CommandLine(name, argv, options, environment);
      if (line.flag('help')) {
        output.write(help);
        return 0;
      }
      return await definition.run(line, surroundings);
    } catch (error) {
      if (signal.aborted) return 128 + (SIGNAL_NUMBERS[String(signal.reason)] ?? 0);
      // `| head` has read enough.
      if ((error as NodeJS.ErrnoException).code === 'EPIPE') return 0;
      const advice = error instanceof UsageError ? ' (--help shows how)' : '';
      errors.write(`${name}: ${explain(error, name, hints)}${advice}\n`);
      return isUsage(error) ? 2 : 1;
    }
  };
}
