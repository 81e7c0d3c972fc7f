import { InvalidOptionError } from 'tunnel-dialer';
import { UsageError } from '../command-line.js';

/** What options of the library are called on the command line, without dashes. */
export type OptionNames = Readonly<Record<string, string>>;

/**
 * Makes something of the library, whose options have other names on the command line.
 *
 * @throws UsageError
 */
export function named<T>(names: OptionNames, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof InvalidOptionError) || names[error.option] === undefined) throw error;
    throw new UsageError(inNamesOf(names, error.message));
  }
}

/** A message of the library that begins with an option, in the names of the command line. */
export function inNamesOf(names: OptionNames, message: string): string {
  const [option, name] = Object.entries(names).find(([each]) => message.startsWith(`${each} `)) ?? [];
  return option === undefined ? message : `--${name}${message.slice(option.length)}`;
}
