import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';

/** Which of a process's streams are wanted; the others are `/dev/null`. */
export interface Wanted {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** A real process, in a process group of its own. */
export class Child {
  /** Its exit code, or 128 and the signal's number. Comes after the ends of its outputs; rejects when it could not be started. */
  readonly ended: Promise<number>;
  readonly #process: ChildProcess;
  #isOver = false;

  constructor(command: readonly string[], wanted: Wanted, environment: NodeJS.ProcessEnv = {}) {
    const [program = '', ...args] = command;
    const pipe = (is: boolean): 'pipe' | 'ignore' => (is ? 'pipe' : 'ignore');
    const child = spawn(program, args, {
      detached: true,
      stdio: [pipe(wanted.stdin), pipe(wanted.stdout), pipe(wanted.stderr)],
      env: { PATH: process.env.PATH, ...environment },
    });
    this.#process = child;
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        // Whom it has left behind goes with it; a container would keep them, a test must not.
        this.#killGroup();
        this.#isOver = true;
        resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
      });
    });
    // Its end is told by `ended` alone; writing to one that no longer reads is not an error here.
    for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.on('error', () => undefined);
    this.ended.catch(() => undefined);
  }

  get stdin(): Writable | null {
    return this.#process.stdin;
  }

  get stdout(): Readable | null {
    return this.#process.stdout;
  }

  get stderr(): Readable | null {
    return this.#process.stderr;
  }

  /** Ends it and its group at once, and whatever holds its outputs. */
  kill(): void {
    if (this.#isOver) return;
    this.#killGroup();
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream?.destroy();
  }

  #killGroup(): void {
    const { pid } = this.#process;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // Nobody is left in it.
    }
  }
}
