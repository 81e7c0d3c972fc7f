import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { inTerminal, Terminal, TERMINAL_FD } from './terminal.js';

/** Which of a process's streams are wanted; the others are `/dev/null`. */
export interface Wanted {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Under a terminal, which has one output only. */
  readonly tty: boolean;
}

/** A real process, in a process group of its own. */
export class Child {
  /** Its exit code, or 128 and the signal's number. Comes after the ends of its outputs; rejects when it could not be started. */
  readonly ended: Promise<number>;
  readonly terminal: Terminal | undefined;
  readonly #process: ChildProcess;
  #isOver = false;

  constructor(command: readonly string[], wanted: Wanted, environment: NodeJS.ProcessEnv = {}) {
    const { tty } = wanted;
    const [program = '', ...args] = tty ? inTerminal(command) : command;
    const pipe = (is: boolean): 'pipe' | 'ignore' => (is ? 'pipe' : 'ignore');
    // `script` takes the end of its stdin for the end of what is typed.
    const stdio = [
      pipe(wanted.stdin || tty),
      pipe(wanted.stdout),
      pipe(wanted.stderr),
      ...(tty ? [pipe(true)] : []),
    ];
    const forTerminal = tty ? { TERM: 'xterm', SHELL: '/bin/sh' } : {};
    const env = { PATH: process.env.PATH, ...forTerminal, ...environment };
    const child = spawn(program, args, { detached: true, stdio, env });
    this.#process = child;
    this.terminal = tty ? new Terminal(child.stdio[TERMINAL_FD] as Readable) : undefined;
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
    for (const stream of child.stdio) stream?.on('error', () => undefined);
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
    for (const stream of this.#process.stdio) stream?.destroy();
  }

  #killGroup(): void {
    this.terminal?.kill();
    for (const leader of [this.#process.pid, this.terminal?.session]) {
      try {
        if (leader !== undefined) process.kill(-leader, 'SIGKILL');
      } catch {
        // Nobody is left in it.
      }
    }
  }
}
