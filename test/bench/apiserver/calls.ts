import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { forkModule } from '../fork-module.js';

/** What a process can be asked to do, one thing at a time. Arguments and answers are plain data. */
export type Calls<Offered> = {
  readonly [Name in keyof Offered]: (argument: never) => Promise<unknown>;
};

interface Request {
  readonly call: string;
  readonly argument: unknown;
}

type Reply = { readonly value: unknown } | { readonly problem: string };

/** A process that offers calls, and ends with this one. */
export class CalledProcess<Offered extends Calls<Offered>> {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  /**
   * @param module - it calls {@link offer}
   * @param flags - for Node
   */
  constructor(name: string, module: URL, flags: readonly string[] = []) {
    this.#name = name;
    this.#child = forkModule(module, {}, flags);
    this.#exited = once(this.#child, 'exit');
  }

  async call<Name extends keyof Offered & string>(
    call: Name,
    argument: Parameters<Offered[Name]>[0],
  ): Promise<Awaited<ReturnType<Offered[Name]>>> {
    const answered = once(this.#child, 'message') as Promise<[Reply]>;
    const died = this.#exited.then(() => Promise.reject(new Error(`${this.#name}: its process has ended`)));
    this.#child.send({ call, argument } satisfies Request);
    const [reply] = await Promise.race([answered, died]);
    if ('problem' in reply) throw new Error(`${this.#name}: ${reply.problem}`);
    return reply.value as Awaited<ReturnType<Offered[Name]>>;
  }

  async close(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#exited;
  }
}

/** Offers calls to the process that has forked this one, and ends when it is let go. */
export function offer<Offered extends Calls<Offered>>(calls: Offered): void {
  const serve = async ({ call, argument }: Request): Promise<Reply> => {
    try {
      return { value: await calls[call as keyof Offered](argument as never) };
    } catch (error) {
      return { problem: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
  };
  process.on('message', (request: Request) => void serve(request).then((reply) => process.send?.(reply)));
  process.on('disconnect', () => process.exit());
}
