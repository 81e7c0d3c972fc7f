import { UsageError, type CommandLine } from './command-line.js';
import type { Surroundings } from './command.js';
import { startSite, type Site } from './demo-stage.js';
import { explain, type Hints } from './explain.js';
import type { Report } from './reporting.js';

type DemoLine = CommandLine<{
  demo: { type: 'boolean' };
  stay: { type: 'boolean' };
  verbose: { type: 'boolean' };
}>;

/** How a command begins that forwards connections until it is stopped. */
export interface Forwarding {
  readonly isDemo: boolean;
  /** Tells what the command is for. */
  readonly say: (text: string) => void;
  /** Tells what happens, with --verbose. */
  readonly report: Report;
  /** Tells why a connection has failed. @param what - which, if that is not clear */
  readonly complain: (error: Error, what?: string) => void;
  /** What the demo fetches. */
  readonly startSite: () => Promise<Site>;
}

/** @throws UsageError */
export function forwardingOf(
  name: string,
  hints: Hints,
  line: DemoLine,
  { output, errors }: Surroundings,
): Forwarding {
  const isDemo = line.flag('demo');
  if (!isDemo && line.flag('stay')) throw new UsageError('--stay belongs to --demo');
  return {
    isDemo,
    say: (text) => void output.write(`${text}\n`),
    report: (text) => {
      if (line.flag('verbose')) errors.write(`# ${text}\n`);
    },
    complain: (error, what) =>
      void errors.write(`${name}: ${what === undefined ? '' : `${what}: `}${explain(error, name, hints)}\n`),
    startSite: () => startSite('3 × crème brûlée, paid\n'),
  };
}
