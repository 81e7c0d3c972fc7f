import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { FleetCalls, FleetCourse, FleetReply, FleetRequest, Idle, Start, Watched } from './messages.js';

/** The fleet in a process of its own. */
export class FleetProcess implements FleetCalls {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  /** @param host - the compiled `host.js` */
  constructor(host: string) {
    this.#child = fork(host, { execArgv: [] });
    this.#exited = once(this.#child, 'exit');
  }

  start(course: FleetCourse): Promise<Start> {
    return this.#ask('start', course) as Promise<Start>;
  }

  idle(ms: number): Promise<Idle> {
    return this.#ask('idle', ms) as Promise<Idle>;
  }

  heap(): Promise<number> {
    return this.#ask('heap') as Promise<number>;
  }

  async watch(): Promise<void> {
    await this.#ask('watch');
  }

  reach(ready: number): Promise<Watched> {
    return this.#ask('reach', ready) as Promise<Watched>;
  }

  dial(nodes: readonly string[]): Promise<readonly number[]> {
    return this.#ask('dial', nodes) as Promise<readonly number[]>;
  }

  async hold(nodes: readonly string[]): Promise<void> {
    await this.#ask('hold', nodes);
  }

  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#exited;
  }

  async #ask(call: FleetRequest['call'], argument?: unknown): Promise<unknown> {
    const answered = once(this.#child, 'message') as Promise<[FleetReply]>;
    const died = this.#exited.then(() => Promise.reject(new Error("the fleet's process has ended")));
    this.#child.send({ call, argument } satisfies FleetRequest);
    const [reply] = await Promise.race([answered, died]);
    if ('problem' in reply) throw new Error(`the fleet: ${reply.problem}`);
    return reply.value;
  }
}
