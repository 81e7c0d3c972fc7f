/**
 * Network namespaces of the test suite (ip-netns(8)). Their names tell whose they are, so that those of a process that was killed are
 * found and removed by the next.
 */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { signal } from './processes.js';
import { onExit } from './reaper.js';

const execFilePromise = promisify(execFile);

const NAME = /^td(\d+)n\d+$/;

let made = 0;
let swept = false;

/** Runs a command given as one line; its arguments hold no spaces. */
export async function run(line: string): Promise<string> {
  const [program = '', ...args] = line.split(' ');
  return (await execFilePromise(program, args, { encoding: 'utf8' })).stdout;
}

function runNow(line: string): string {
  const [program = '', ...args] = line.split(' ');
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
}

/** Ends what runs in a namespace, and the namespace with its links. */
function removeNow(name: string): void {
  for (const pid of runNow(`ip netns pids ${name}`).split('\n').filter(Boolean))
    signal(Number(pid), 'SIGKILL');
  runNow(`ip netns del ${name}`);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Removes the namespaces of test processes that are no more. */
function sweep(): void {
  if (swept) return;
  swept = true;
  for (const [name = ''] of runNow('ip netns list')
    .split('\n')
    .map((line) => line.split(' '))) {
    const pid = NAME.exec(name)?.[1];
    if (pid === undefined || isRunning(Number(pid))) continue;
    try {
      removeNow(name);
    } catch {
      // Another process sweeps, too.
    }
  }
}

/** A network namespace that is removed, with all that runs in it and all links that end in it, by `remove` or with this process. */
export class NetworkNamespace {
  readonly name: string;
  readonly #forget: () => void;

  private constructor(name: string) {
    this.name = name;
    this.#forget = onExit(() => removeNow(name));
  }

  static async create(): Promise<NetworkNamespace> {
    sweep();
    made += 1;
    const namespace = new NetworkNamespace(`td${process.pid}n${made}`);
    await run(`ip netns add ${namespace.name}`);
    await namespace.ip('link set lo up');
    return namespace;
  }

  /** Configures it by ip(8). */
  async ip(args: string): Promise<void> {
    await run(`ip -n ${this.name} ${args}`);
  }

  /** Runs a command in it. */
  async exec(line: string): Promise<void> {
    await run(`ip netns exec ${this.name} ${line}`);
  }

  /** Its processes must have been ended. */
  remove(): void {
    this.#forget();
    removeNow(this.name);
  }
}
