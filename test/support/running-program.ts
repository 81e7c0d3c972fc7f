import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** A program that a test talks with while it runs. */
export class RunningProgram {
  /** What it has written so far: stdout and stderr, as they came. */
  shown = '';
  /** Its exit code, when all that it has written is there; `null` if a signal ended it. */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  #told: () => void = () => undefined;
  #isOver = false;

  constructor(program: string, args: readonly string[], env: NodeJS.ProcessEnv) {
    this.#child = spawn(program, args, { env, stdio: 'pipe' });
    this.#child.stdin?.on('error', () => undefined);
    for (const output of [this.#child.stdout, this.#child.stderr]) {
      output?.setEncoding('utf8').on('data', (text: string) => {
        this.shown += text;
        this.#told();
      });
    }
    this.ended = once(this.#child, 'close').then(([code]) => {
      this.#isOver = true;
      this.#told();
      return code as number | null;
    });
    // `once` rejects when it could not be started; whoever waits for something is told so.
    this.ended.catch(() => undefined);
  }

  /** Writes to its stdin. */
  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  endInput(): void {
    this.#child.stdin?.end();
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Waits until it has shown something. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.shown);
      if (match !== null) return match;
      if (this.#isOver)
        throw new Error(`it ended, and had not shown ${String(pattern)} but ${JSON.stringify(this.shown)}`);
      await Promise.race([new Promise<void>((resolve) => (this.#told = resolve)), this.ended]);
    }
  }

  /** Ends it, if it still runs. */
  async close(): Promise<void> {
    this.#child.kill();
    await this.ended.catch(() => undefined);
  }
}
