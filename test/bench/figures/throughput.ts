import { once } from 'node:events';
import { resizeApplicationHeap } from '../application-heap.js';
import type { Contender } from '../contender.js';
import type { Figure } from '../figure.js';
import { CHUNK, encodeCount } from './bulk.js';
import { Conversation } from './conversation.js';

const CHUNKS = 4096;
const BYTES = CHUNKS * CHUNK.length;

const metrics = [{ name: 'rate', unit: 'MB/s', goals: [{ atLeast: 0.95, relativeTo: 'ssh2' }] }];

/** Megabytes per second of what moves all the bytes. */
async function rateOf(move: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await move();
  return BYTES / 1e6 / ((performance.now() - start) / 1000);
}

async function pull(contender: Contender): Promise<number> {
  resizeApplicationHeap();
  const stream = await contender.dial('source');
  const rate = await rateOf(async () => {
    const arrived = new Conversation(stream).answer(BYTES);
    stream.write(encodeCount(BYTES));
    await arrived;
  });
  stream.destroy();
  return rate;
}

async function push(contender: Contender): Promise<number> {
  resizeApplicationHeap();
  const stream = await contender.dial('sink');
  const rate = await rateOf(async () => {
    const taken = new Conversation(stream).answer(1);
    stream.write(encodeCount(BYTES));
    for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
      if (!stream.write(CHUNK)) await once(stream, 'drain');
    }
    await taken;
  });
  stream.destroy();
  return rate;
}

export const download: Figure = {
  name: 'download',
  title: 'one stream down, 256 MiB',
  metrics,
  warmUp: pull,
  measure: async (contender) => [await pull(contender)],
};

export const upload: Figure = {
  name: 'upload',
  title: 'one stream up, 256 MiB',
  metrics,
  warmUp: push,
  measure: async (contender) => [await push(contender)],
};
