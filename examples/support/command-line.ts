import { isIP } from 'node:net';
import { parseArgs, type ParseArgsConfig } from 'node:util';

/** The command was given something that it cannot use. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export type Environment = Readonly<Record<string, string | undefined>>;
export type OptionTypes = NonNullable<ParseArgsConfig['options']>;
/** Options by name, without dashes. */
export type OptionValues = Readonly<Record<string, string | boolean | readonly string[]>>;

/** The variable in which a command looks for an option that is not on its command line. */
export function variableOf(command: string, option: string): string {
  return `${command}_${option}`.toUpperCase().replaceAll('-', '_');
}

/**
 * A command line, taken apart. An option with a value that is not on it is looked for in the environment: `--known-hosts` of kubelet-logs
 * in KUBELET_LOGS_KNOWN_HOSTS.
 */
export class CommandLine<Options extends OptionTypes = OptionTypes> {
  /** What is no option, before `--`. */
  readonly words: readonly string[];
  /** What follows `--`; `undefined` if there is none. */
  readonly rest: readonly string[] | undefined;
  readonly #command: string;
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #environment: Environment;
  /** What counts where neither the command line nor the environment says anything. */
  #defaults: OptionValues = {};

  /** @throws UsageError */
  constructor(command: string, argv: readonly string[], options: Options, environment: Environment) {
    const end = argv.indexOf('--');
    this.#command = command;
    this.#environment = environment;
    this.rest = end < 0 ? undefined : argv.slice(end + 1);
    const args = end < 0 ? argv : argv.slice(0, end);
    try {
      const parsed = parseArgs({ args: [...args], options: options, allowPositionals: true });
      this.words = parsed.positionals;
      this.#values = parsed.values;
    } catch (error) {
      // Node's advice on how to escape a dash does not help here.
      throw new UsageError((error as Error).message.replace(/[.;]? To specify .*$/s, ''));
    }
  }

  /** Takes what a configuration file says. */
  setDefaults(defaults: OptionValues): void {
    this.#defaults = defaults;
  }

  /** @throws UsageError */
  text(option: keyof Options & string): string | undefined {
    const fromEnvironment = this.#environment[variableOf(this.#command, option)];
    const given = this.#values[option] ?? fromEnvironment ?? this.#defaults[option];
    if (given === '') throw new UsageError(`--${option} is empty`);
    return typeof given === 'string' ? given : undefined;
  }

  flag(option: keyof Options & string): boolean {
    return (this.#values[option] ?? this.#defaults[option]) === true;
  }

  /** Of an option that may be given more than once; in the environment with commas between. */
  texts(option: keyof Options & string): readonly string[] {
    const fromEnvironment = this.#environment[variableOf(this.#command, option)]?.split(',');
    const given = this.#values[option] ?? fromEnvironment ?? this.#defaults[option];
    return Array.isArray(given) ? (given as string[]) : [];
  }

  /** @throws UsageError */
  integer(option: keyof Options & string, otherwise: number, min: number, max: number): number {
    const text = this.text(option);
    return text === undefined ? otherwise : integer(`--${option}`, text, min, max);
  }

  /** What the environment has beside options, such as a passphrase. */
  secret(name: string): string | undefined {
    return this.#environment[variableOf(this.#command, name)];
  }

  /** A variable that is not the command's own. */
  variable(name: string): string | undefined {
    return this.#environment[name];
  }
}

/** @throws UsageError */
export function integer(what: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new UsageError(`${what} must be a whole number from ${min} to ${max}, got ${JSON.stringify(text)}`);
}

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

/** @throws UsageError */
export function hostAndPort(option: string, text: string, defaultPort: number, minPort = 1): HostAndPort {
  const [, bracketed, plain, port] = /^(?:\[(.*)\]|([^:]*))(?::(.*))?$/.exec(text) ?? [];
  const host = isIP(text) === 6 ? text : (bracketed ?? plain);
  // A port alone would be taken for an address: 8443 is 0.0.32.251.
  if (!host || /^\d+$/.test(host)) {
    const forms = `${option} must be ADDRESS, ADDRESS:PORT or [IPV6]:PORT`;
    throw new UsageError(`${forms}, got ${JSON.stringify(text)}`);
  }
  if (port === undefined || isIP(text) === 6) return { host, port: defaultPort };
  return { host, port: integer(`the port of ${option}`, port, minPort, 65535) };
}

/**
 * A name of Kubernetes, which is a path segment of its own: `..` would lead elsewhere.
 *
 * @throws UsageError
 */
export function objectName(what: string, text: string): string {
  // RFC 1123 subdomains, as Kubernetes' own names of objects.
  if (/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(text) && !text.includes('..')) return text;
  throw new UsageError(
    `${what} must be a name of Kubernetes (a-z, 0-9, '-' and '.'), got ${JSON.stringify(text)}`,
  );
}
