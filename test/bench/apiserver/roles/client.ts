/* The process of a client: one that goes through the proxy, or one that has a tunnel of its own. */
import { resizeApplicationHeap } from '../../application-heap.js';
import { offer } from '../calls.js';
import { cpuMs } from '../library.js';
import type { ClientCalls, ClientCourse } from '../messages.js';
import { proxyClient } from '../clients/proxy-client.js';
import { tunnelClient } from '../clients/tunnel-client.js';
import type { Client } from '../clients/client.js';

resizeApplicationHeap();

let client: Client | undefined;

async function clientOf(course: ClientCourse): Promise<Client> {
  const { throughPort, cluster } = course;
  return throughPort === undefined ? tunnelClient(course) : proxyClient(throughPort, cluster);
}

function started(): Client {
  if (client === undefined) throw new Error('the client has not been started');
  return client;
}

offer<ClientCalls>({
  async start(course) {
    client = await clientOf(course);
  },
  async get({ requests, atOnce }) {
    const each = started();
    let left = requests;
    const work = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        await each.get();
      }
    };
    const start = performance.now();
    await Promise.all(Array.from({ length: atOnce }, work));
    return performance.now() - start;
  },
  async echo(count) {
    const shell = await started().exec();
    const times: number[] = [];
    for (let echo = 0; echo < count; echo += 1) {
      const start = performance.now();
      await shell.echo();
      times.push(performance.now() - start);
    }
    shell.close();
    return times;
  },
  cpuMs: () => Promise.resolve(cpuMs()),
});
