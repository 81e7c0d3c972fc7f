/*
 * The process of the fleet: a dialer and what measures it. Compiled, and not run through tsx, whose own memory would be measured with it.
 */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type * as Library from '../../../../lib/index.js';
import type { EndpointAddress } from '../../contender.js';
import type { FleetCalls, FleetCourse, FleetReply, FleetRequest, Idle, Start, Watched } from '../messages.js';
import { ConnectionWatch } from './connection-watch.js';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function cpuMsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function heapInUse(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

class FleetHost implements FleetCalls {
  readonly #watch = new ConnectionWatch();
  #heapBefore = 0;
  #dialer: Library.TunnelDialer | undefined;
  readonly #held: Duplex[] = [];
  #endpoints: Pick<EndpointAddress, 'host'> & { readonly echo: number } = { host: '', echo: 0 };

  async start({ library, username, privateKey, nodes, endpoints }: FleetCourse): Promise<Start> {
    // eslint-disable-next-line no-restricted-syntax -- its path is not known before
    const { TunnelDialer } = (await import(library)) as typeof Library;
    this.#endpoints = { host: endpoints.host, echo: endpoints.ports.echo };
    this.#heapBefore = heapInUse();
    const rssBefore = process.memoryUsage.rss();
    const cpu = process.cpuUsage();
    const startedAt = performance.now();
    this.#watch.begin();
    this.#dialer = new TunnelDialer({ nodes, ssh: { username, privateKey } });
    await this.#dialer.ready({ every: true });
    const readyMs = performance.now() - startedAt;
    return { readyMs, cpuMs: cpuMsSince(cpu), rssBefore, rss: process.memoryUsage.rss() };
  }

  async idle(ms: number): Promise<Idle> {
    const cpu = process.cpuUsage();
    await delay(ms);
    const cpuMs = cpuMsSince(cpu);
    return { cpuMs, rss: process.memoryUsage.rss() };
  }

  heap(): Promise<number> {
    return Promise.resolve(heapInUse() - this.#heapBefore);
  }

  watch(): Promise<void> {
    this.#watch.begin();
    return Promise.resolve();
  }

  reach(ready: number): Promise<Watched> {
    return this.#watch.reach(ready);
  }

  async dial(nodes: readonly string[]): Promise<readonly number[]> {
    const times: number[] = [];
    for (const node of nodes) {
      const startedAt = performance.now();
      const stream = await this.#dialAndEcho(node);
      times.push(performance.now() - startedAt);
      stream.destroy();
    }
    return times;
  }

  async hold(nodes: readonly string[]): Promise<void> {
    for (const node of nodes) this.#held.push(await this.#dialAndEcho(node));
  }

  close(): void {
    this.#dialer?.destroy();
  }

  async #dialAndEcho(node: string): Promise<Duplex> {
    const { host, echo } = this.#endpoints;
    const stream = await this.#dialer?.dial(host, echo, { node });
    if (stream === undefined) throw new Error('the fleet has not been started');
    stream.write('?');
    await once(stream, 'data');
    return stream;
  }
}

const host = new FleetHost();

async function replyTo({ call, argument }: FleetRequest): Promise<FleetReply> {
  try {
    const calls = host as unknown as Record<typeof call, (argument: unknown) => Promise<unknown>>;
    return { value: await calls[call](argument) };
  } catch (error) {
    return { problem: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

process.on('message', (request: FleetRequest) => {
  void replyTo(request).then((reply) => process.send?.(reply));
});
process.on('disconnect', () => {
  host.close();
  process.exit();
});
