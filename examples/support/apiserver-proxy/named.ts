import { InvalidOptionError } from 'tunnel-dialer';
import { UsageError } from '../command-line.js';

/**
 * Makes something of the library, whose options have other names on the command line.
 *
 * @param names - on the command line, by the library's
 * @throws UsageError
 */
export function named<T>(names: Readonly<Record<string, string>>, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const name = error instanceof InvalidOptionError ? names[error.option] : undefined;
    if (!(error instanceof InvalidOptionError) || name === undefined) throw error;
    throw new UsageError(`--${name}${error.message.slice(error.option.length)}`);
  }
}
