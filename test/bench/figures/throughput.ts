import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import type { Duplex } from 'node:stream';
import { resizeApplicationHeap } from '../application-heap.js';
import type { Contender, EndpointName } from '../contender.js';
import type { Figure, Goal } from '../figure.js';
import { CHUNK, encodeCount } from './bulk.js';
import { Conversation } from './conversation.js';
import { GO, SSH2, SSH_FORWARD } from './names.js';

const CHUNKS = 4096;
const STREAMS = 8;

/** What is sent or had sent on a stream: so many chunks. */
type Move = (stream: Duplex, chunks: number) => Promise<void>;

const ONE_STREAM: readonly Goal[] = [
  { atLeast: 1, relativeTo: SSH2 },
  { atLeast: 1.2, relativeTo: SSH_FORWARD },
  { atLeast: 1.2, relativeTo: GO },
];

/** Several connections are of use where each of their sshd has a core of its own. */
const SEVERAL_STREAMS: readonly Goal[] = [{ atLeast: availableParallelism() > 2 ? 2 : 1, relativeTo: SSH2 }];

async function pull(stream: Duplex, chunks: number): Promise<void> {
  const bytes = chunks * CHUNK.length;
  const arrived = new Conversation(stream).answer(bytes);
  stream.write(encodeCount(bytes));
  await arrived;
}

async function push(stream: Duplex, chunks: number): Promise<void> {
  const taken = new Conversation(stream).answer(1);
  stream.write(encodeCount(chunks * CHUNK.length));
  for (let chunk = 0; chunk < chunks; chunk += 1) {
    if (!stream.write(CHUNK)) await once(stream, 'drain');
  }
  await taken;
}

/** Megabytes per second of all streams together. */
async function rateOf(
  contender: Contender,
  streams: number,
  endpoint: EndpointName,
  move: Move,
): Promise<number> {
  resizeApplicationHeap();
  const open = await Promise.all(Array.from({ length: streams }, () => contender.dial(endpoint)));
  const start = performance.now();
  await Promise.all(open.map((stream) => move(stream, CHUNKS / streams)));
  const seconds = (performance.now() - start) / 1000;
  for (const stream of open) stream.destroy();
  return (CHUNKS * CHUNK.length) / 1e6 / seconds;
}

function throughput(
  direction: 'down' | 'up',
  streams: number,
  goals: readonly Goal[],
): Omit<Figure, 'name' | 'title'> {
  const measure = async (contender: Contender): Promise<readonly number[]> => [
    direction === 'down'
      ? await rateOf(contender, streams, 'source', pull)
      : await rateOf(contender, streams, 'sink', push),
  ];
  return { metrics: [{ name: 'rate', unit: 'MB/s', goals }], warmUp: measure, measure };
}

export const download: Figure = {
  name: 'download',
  title: 'one stream down, 256 MiB',
  ...throughput('down', 1, ONE_STREAM),
};

export const upload: Figure = {
  name: 'upload',
  title: 'one stream up, 256 MiB',
  ...throughput('up', 1, ONE_STREAM),
};

export const downloads: Figure = {
  name: 'downloads',
  title: 'eight streams down, 256 MiB together',
  ...throughput('down', STREAMS, SEVERAL_STREAMS),
};

export const uploads: Figure = {
  name: 'uploads',
  title: 'eight streams up, 256 MiB together',
  ...throughput('up', STREAMS, SEVERAL_STREAMS),
};
