import { CalledProcess } from './calls.js';
import type { Between, BetweenCalls, ClientCalls, Course } from './messages.js';

const roleNamed = (name: string): URL => new URL(`roles/${name}.ts`, import.meta.url);

/** One way to a pod, started and ready to be measured. */
export class Way {
  readonly name: string;
  readonly client: CalledProcess<ClientCalls>;
  readonly #between: CalledProcess<BetweenCalls> | undefined;

  private constructor(
    name: string,
    client: CalledProcess<ClientCalls>,
    between: CalledProcess<BetweenCalls> | undefined,
  ) {
    this.name = name;
    this.client = client;
    this.#between = between;
  }

  /** A client that has a tunnel of its own. */
  static async tunnel(name: string, course: Course): Promise<Way> {
    const client = new CalledProcess<ClientCalls>(name, roleNamed('client'));
    const way = new Way(name, client, undefined);
    return way.#started(() => client.call('start', { ...course, throughPort: undefined }));
  }

  /** A client that goes through another process. */
  static async through(between: Between, name: string, course: Course): Promise<Way> {
    const other = new CalledProcess<BetweenCalls>(name, roleNamed('between'));
    const client = new CalledProcess<ClientCalls>(`client of ${name}`, roleNamed('client'));
    const way = new Way(name, client, other);
    return way.#started(async () => {
      const throughPort = await other.call('start', { ...course, between });
      await client.call('start', { ...course, throughPort });
    });
  }

  /** CPU time so far of the process between, or else of the client, in milliseconds. */
  cpuMs(): Promise<number> {
    return this.#between === undefined
      ? this.client.call('cpuMs', undefined)
      : this.#between.call('cpuMs', undefined);
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.#between?.close();
  }

  async #started(start: () => Promise<void>): Promise<this> {
    try {
      await start();
      return this;
    } catch (error) {
      await this.close();
      throw error;
    }
  }
}
