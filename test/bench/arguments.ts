import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

export interface Arguments {
  /** Names of the figures to measure; none means all. */
  readonly figures: readonly string[];
  /** Names of the contenders that take part; none means all. */
  readonly contenders: readonly string[];
  readonly rounds: number;
  /** File for the results as JSON. */
  readonly json: string | undefined;
  /** Directory for pictures. */
  readonly plot: string | undefined;
  /** Another tree of this library, to be measured beside this one. */
  readonly against: string | undefined;
  readonly help: boolean;
}

export const USAGE = `npm run bench -- [figure …] [options]

  --rounds N         rounds after the warm-up (5)
  --contender NAME   only this contender; may be repeated
  --against DIR      measure the library in another tree as well, to compare a change
  --json FILE        write the results, with every round, to a file
  --plot DIR         draw the results into a directory, as SVG
`;

/** @throws Error that says what is wrong */
export function parseArguments(args: readonly string[], figureNames: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      contender: { type: 'string', multiple: true, default: [] },
      against: { type: 'string' },
      json: { type: 'string' },
      plot: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const unknown = positionals.find((name) => !figureNames.includes(name));
  if (unknown !== undefined)
    throw new Error(`there is no figure ${unknown}; there are ${figureNames.join(', ')}`);
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds must be a positive integer, got ${values.rounds}`);
  return {
    figures: positionals,
    contenders: values.contender,
    rounds,
    json: values.json === undefined ? undefined : resolve(values.json),
    plot: values.plot === undefined ? undefined : resolve(values.plot),
    against: values.against === undefined ? undefined : resolve(values.against),
    help: values.help,
  };
}
