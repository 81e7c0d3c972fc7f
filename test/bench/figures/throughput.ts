import { once } from 'node:events';
import type { Figure } from '../figure.js';
import { CHUNK, encodeCount } from './bulk.js';
import { Conversation } from './conversation.js';

const MB = 1e6;

/** Operations are chunks of 64 KiB. */
const shared = {
  metrics: [{ name: 'rate', unit: 'MB/s', goals: [{ atLeast: 0.95, relativeTo: 'ssh2' }] }],
  operations: 4096,
  warmUpOperations: 2048,
} satisfies Partial<Figure>;

const rate = (bytes: number, startedAt: number): number =>
  bytes / MB / ((performance.now() - startedAt) / 1000);

export const download: Figure = {
  ...shared,
  name: 'download',
  title: 'one stream down, 256 MiB',
  async measure(contender, operations) {
    const bytes = operations * CHUNK.length;
    const stream = await contender.dial('source');
    const start = performance.now();
    const arrived = new Conversation(stream).answer(bytes);
    stream.write(encodeCount(bytes));
    await arrived;
    const result = rate(bytes, start);
    stream.destroy();
    return [result];
  },
};

export const upload: Figure = {
  ...shared,
  name: 'upload',
  title: 'one stream up, 256 MiB',
  async measure(contender, operations) {
    const bytes = operations * CHUNK.length;
    const stream = await contender.dial('sink');
    const start = performance.now();
    const taken = new Conversation(stream).answer(1);
    stream.write(encodeCount(bytes));
    for (let chunk = 0; chunk < operations; chunk += 1) {
      if (!stream.write(CHUNK)) await once(stream, 'drain');
    }
    await taken;
    const result = rate(bytes, start);
    stream.destroy();
    return [result];
  },
};
