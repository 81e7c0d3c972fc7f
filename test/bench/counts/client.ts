/* The process with the dialer. What it does is counted here and by the relay. */
import { once } from 'node:events';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type * as Library from '../../../lib/index.js';
import '../../support/native-addon.js';
import { offer } from '../apiserver/calls.js';
import type { EndpointAddress, EndpointName } from '../contender.js';
import { CHUNK, encodeCount } from '../figures/bulk.js';
import { Conversation } from '../figures/conversation.js';
import { quantile } from '../statistics.js';
import type { ClientCalls, Tally } from './messages.js';
import { startTally } from './tally.js';

let dialer: Library.TunnelDialer | undefined;
let endpoints: EndpointAddress | undefined;
let tally: (() => Tally) | undefined;
let open: { readonly stream: Duplex; readonly conversation: Conversation } | undefined;

async function dial(endpoint: EndpointName): Promise<Duplex> {
  if (dialer === undefined || endpoints === undefined) throw new Error('there is no dialer');
  return dialer.dial(endpoints.host, endpoints.ports[endpoint], { node: 'node-1' });
}

function opened(): { readonly stream: Duplex; readonly conversation: Conversation } {
  if (open === undefined) throw new Error('no stream is open');
  return open;
}

async function dialAndEcho(): Promise<void> {
  const stream = await dial('echo');
  await new Conversation(stream).ask(1);
  const closed = once(stream, 'close');
  stream.destroy();
  await closed;
}

async function dialMany(dials: number): Promise<void> {
  for (let left = dials; left > 0; left -= 1) await dialAndEcho();
}

function collected(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

offer<ClientCalls>({
  async start(course) {
    // eslint-disable-next-line no-restricted-syntax -- its path is not known before
    const library = (await import(pathToFileURL(join(course.library, 'index.js')).href)) as typeof Library;
    const { port, username, privateKey, knownHosts } = course;
    endpoints = course.endpoints;
    if (globalThis.gc === undefined) tally = startTally();
    dialer = new library.TunnelDialer({
      nodes: [{ name: 'node-1', address: '127.0.0.1', port }],
      ssh: { username, privateKey, hostKeys: library.knownHosts(knownHosts) },
    });
    await dialer.ready();
  },
  async tally() {
    // Timers that were cleared are reported as gone in a later turn.
    for (let left = 5; left > 0; left -= 1) await turn();
    if (tally === undefined) throw new Error('nothing is counted');
    return tally();
  },
  nothing: () => Promise.resolve(),
  dial: dialAndEcho,
  async open(endpoint) {
    const stream = await dial(endpoint);
    open = { stream, conversation: new Conversation(stream) };
  },
  echo: () => opened().conversation.ask(1),
  async upload(bytes) {
    const { stream, conversation } = opened();
    const taken = conversation.answer(1);
    stream.write(encodeCount(bytes));
    for (let left = bytes; left > 0; left -= CHUNK.length) {
      if (!stream.write(CHUNK.subarray(0, left))) await once(stream, 'drain');
    }
    await taken;
  },
  async closeStream() {
    const { stream } = opened();
    const closed = once(stream, 'close');
    stream.destroy();
    await closed;
    open = undefined;
  },
  async burst(dials) {
    await Promise.all(Array.from({ length: dials }, dialAndEcho));
  },
  async dialHeap({ batches, dials }) {
    // What is made once is none of a dial's.
    await dialMany(dials);
    const before = collected();
    const allocated: number[] = [];
    for (let batch = 0; batch < batches; batch += 1) {
      const start = collected();
      await dialMany(dials);
      allocated.push((process.memoryUsage().heapUsed - start) / dials);
    }
    return { allocated: quantile(allocated, 0.5), kept: (collected() - before) / (batches * dials) };
  },
  async idleHeap(streams) {
    const before = collected();
    const idle: Duplex[] = [];
    for (let left = streams; left > 0; left -= 1) idle.push(await dial('echo'));
    const heap = (collected() - before) / streams;
    for (const stream of idle) stream.destroy();
    return heap;
  },
});
