import { InvalidOptionError } from '../../errors.js';
import {
  abortSignal,
  arrayOf,
  boolean,
  describeKind,
  milliseconds,
  objectOf,
  oneOf,
  optional,
  port,
  withDefault,
  type Check,
} from '../../validation.js';
import { objectName } from '../names.js';

/** What exec, attach and port-forward have in common. */
interface StreamOptions {
  namespace: string;
  pod: string;
  /** How long the stream may take to open, from dial to upgrade, in milliseconds. Default: the client's `timeoutMs`. */
  timeoutMs?: number | undefined;
  /** Gives up, or closes what is open. */
  signal?: AbortSignal | undefined;
}

/** Options of `exec`. */
export interface ExecOptions extends StreamOptions {
  container: string;
  /** The program and its arguments; no shell has a look at it. */
  command: readonly string[];
  /** Whether `stdin` can be written to. Default: false; the command sees the end of its input at once, and a write fails. */
  stdin?: boolean | undefined;
  /** Whether `stdout` is wanted. Default: true. */
  stdout?: boolean | undefined;
  /** Whether `stderr` is wanted. Default: true, but for a terminal, which has none of its own. */
  stderr?: boolean | undefined;
  /** Whether the command runs in a terminal. Default: false. */
  tty?: boolean | undefined;
  /**
   * What `stdin.end()` does with a kubelet that speaks only `v4.channel.k8s.io` (Kubernetes up to 1.35), which cannot tell a command that
   * its input has ended. `error`, the default, fails with `ERR_KUBELET_NO_HALF_CLOSE` and closes the process, which might wait for ever.
   * `ignore` sends nothing, for commands that end by themselves.
   */
  stdinEndUnderV4?: 'error' | 'ignore' | undefined;
}

/** Options of `attach`: as the container has been started. */
export type AttachOptions = Omit<ExecOptions, 'command'>;

/** Options of `portForward`. */
export interface PortForwardOptions extends StreamOptions {
  /** Port in the pod, on its loopback. */
  port: number;
  /**
   * How long the pod may be silent after `end()` before the connection is closed, in milliseconds: the protocol has no half-close. Default:
   * 5000.
   */
  lingerMs?: number | undefined;
}

/** What was chosen of a process's streams. */
export interface StreamingChoices {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
  readonly stdinEndUnderV4: 'error' | 'ignore';
}

/** Arguments may be secrets: they are not shown. */
const argument: Check<string> = (value, path) => {
  if (typeof value === 'string' && !value.includes('\0')) return value;
  throw new InvalidOptionError(path, `must be a string without NUL, got ${describeKind(value)}`);
};

const command: Check<readonly string[]> = (value, path) => {
  const example = "such as ['sh', '-c', 'date']";
  if (!Array.isArray(value)) {
    const rule = `must be an array of the program and its arguments, ${example}`;
    throw new InvalidOptionError(path, `${rule}, got ${describeKind(value)}`);
  }
  const words = arrayOf(argument)(value, path);
  if (words.length > 0 && words[0] !== '') return words;
  throw new InvalidOptionError(path, `must begin with the program to run, ${example}`);
};

const common = {
  namespace: objectName,
  pod: objectName,
  timeoutMs: optional(milliseconds(1)),
  signal: optional(abortSignal),
};

const process = {
  ...common,
  container: objectName,
  stdin: withDefault(boolean, false),
  stdout: withDefault(boolean, true),
  stderr: optional(boolean),
  tty: withDefault(boolean, false),
  stdinEndUnderV4: withDefault(oneOf('error', 'ignore'), 'error'),
};

const execOptions = objectOf({ ...process, command } satisfies Record<keyof ExecOptions, Check<unknown>>);
const attachOptions = objectOf(process satisfies Record<keyof AttachOptions, Check<unknown>>);
const portForwardOptions = objectOf({
  ...common,
  port,
  lingerMs: withDefault(milliseconds(), 5_000),
} satisfies Record<keyof PortForwardOptions, Check<unknown>>);

interface ProcessOptions extends StreamingChoices {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal | undefined;
}

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkExec(options: ExecOptions): ProcessOptions & { readonly command: readonly string[] } {
  const checked = execOptions(options, '');
  return { ...checked, ...withStderr(checked) };
}

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkAttach(options: AttachOptions): ProcessOptions {
  const checked = attachOptions(options, '');
  return { ...checked, ...withStderr(checked) };
}

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export const checkPortForward = (options: PortForwardOptions): ReturnType<typeof portForwardOptions> =>
  portForwardOptions(options, '');

interface Wanted {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean | undefined;
  readonly tty: boolean;
}

function withStderr({ stdin, stdout, stderr, tty }: Wanted): { readonly stderr: boolean } {
  if (tty && stderr === true)
    throw new InvalidOptionError('stderr', 'cannot be had with tty: what a terminal shows is in stdout');
  const chosen = stderr ?? !tty;
  if (!stdin && !stdout && !chosen)
    throw new InvalidOptionError('stdout', 'must be true when neither stdin nor stderr is');
  return { stderr: chosen };
}
