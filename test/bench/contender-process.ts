import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Absent, type Course } from './contender.js';
import { entrants } from './contenders/index.js';
import { forkModule } from './fork-module.js';
import type { Reply, Request } from './messages.js';

/** A contender in a process of its own. */
export class ContenderProcess {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  private constructor(name: string, environment?: Readonly<Record<string, string>>) {
    this.name = name;
    this.#child = forkModule(new URL('contender-host.ts', import.meta.url), environment);
    this.#exited = once(this.#child, 'exit');
  }

  /** @throws {@link Absent} when it cannot take part on this machine */
  static async start(name: string, course: Course, against: string | undefined): Promise<ContenderProcess> {
    const entrant = entrants(against).find((candidate) => candidate.name === name);
    const contender = new ContenderProcess(name, entrant?.environment);
    try {
      await contender.#ask({ kind: 'start', contender: name, against, course });
    } catch (error) {
      await contender.close();
      throw error;
    }
    return contender;
  }

  async warmUp(figure: string): Promise<void> {
    await this.#ask({ kind: 'warmUp', figure });
  }

  /** One round of a figure; one number for each of its metrics. */
  measure(figure: string): Promise<readonly number[]> {
    return this.#ask({ kind: 'measure', figure });
  }

  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#exited;
  }

  async #ask(request: Request): Promise<readonly number[]> {
    const answered = once(this.#child, 'message') as Promise<[Reply]>;
    const died = this.#exited.then(() => Promise.reject(new Error(`${this.name}: its process has ended`)));
    this.#child.send(request);
    const [reply] = await Promise.race([answered, died]);
    if (reply.kind === 'done') return reply.values;
    if (reply.kind === 'absent') throw new Absent(reply.reason);
    throw new Error(`${this.name}: ${reply.problem}`);
  }
}
