import { CalledProcess } from './calls.js';
import type { ClientCalls, Course, ProxyCalls } from './messages.js';

const roleNamed = (name: string): URL => new URL(`roles/${name}.ts`, import.meta.url);

/** One way to a pod, started and ready to be measured. */
export class Way {
  readonly name: string;
  readonly client: CalledProcess<ClientCalls>;
  readonly #proxy: CalledProcess<ProxyCalls> | undefined;

  private constructor(
    name: string,
    client: CalledProcess<ClientCalls>,
    proxy: CalledProcess<ProxyCalls> | undefined,
  ) {
    this.name = name;
    this.client = client;
    this.#proxy = proxy;
  }

  /** A client that has a tunnel of its own. */
  static async tunnel(name: string, course: Course): Promise<Way> {
    const client = new CalledProcess<ClientCalls>(name, roleNamed('client'));
    const way = new Way(name, client, undefined);
    return way.#started(() => client.call('start', { ...course, proxyPort: undefined }));
  }

  /** A client that goes through a proxy, which has the tunnel. */
  static async proxy(name: string, course: Course): Promise<Way> {
    const proxy = new CalledProcess<ProxyCalls>(name, roleNamed('proxy'));
    const client = new CalledProcess<ClientCalls>(`client of ${name}`, roleNamed('client'));
    const way = new Way(name, client, proxy);
    return way.#started(async () => {
      const proxyPort = await proxy.call('start', course);
      await client.call('start', { ...course, proxyPort });
    });
  }

  /** CPU time so far of the process that has the tunnel, in milliseconds. */
  cpuMs(): Promise<number> {
    return this.#proxy === undefined
      ? this.client.call('cpuMs', undefined)
      : this.#proxy.call('cpuMs', undefined);
  }

  async close(): Promise<void> {
    await this.client.close();
    await this.#proxy?.close();
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
