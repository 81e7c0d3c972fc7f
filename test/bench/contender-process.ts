import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Absent, type Course } from './contender.js';
import { entrants } from './contenders/index.js';
import { forkModule } from './fork-module.js';
import type { Measurement, Reply, Request } from './messages.js';

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

  /** One round of a figure. */
  async measure(figure: string): Promise<Measurement> {
    const reply = await this.#ask({ kind: 'measure', figure });
    if (reply.kind !== 'measured') throw new Error(`${this.name} measured nothing`);
    return reply;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#exited;
  }

  async #ask(request: Request): Promise<Reply> {
    const answered = once(this.#child, 'message') as Promise<[Reply]>;
    const died = this.#exited.then(() => Promise.reject(new Error(`${this.name}: its process has ended`)));
    this.#child.send(request);
    const [reply] = await Promise.race([answered, died]);
    if (reply.kind === 'absent') throw new Absent(reply.reason);
    if (reply.kind === 'failed') throw new Error(`${this.name}: ${reply.problem}`);
    return reply;
  }
}
