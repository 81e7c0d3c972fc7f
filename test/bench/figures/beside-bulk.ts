import type { Duplex } from 'node:stream';
import { waitUntil } from '../../support/processes.js';
import type { Contender } from '../contender.js';
import type { Figure, Goal } from '../figure.js';
import { quantile } from '../statistics.js';
import { CHUNK, encodeCount } from './bulk.js';
import { Conversation } from './conversation.js';
import { warmUpEchoes } from './echo.js';
import { destroyAll } from './settled.js';

const ECHOES = 500;

/** Enough for a contender whose echoes wait for megabytes. */
const LIMIT_MS = 5000;

/** More than is ever moved. */
const ENDLESS = 2 ** 47;

/** By then buffers and windows are full. */
const UNDER_WAY = 32 * 1024 * 1024;

/** A stream that is kept busy until it is destroyed. */
class Bulk {
  readonly stream: Duplex;
  /** Bytes that have arrived, or were taken from us. */
  moved = 0;

  constructor(stream: Duplex) {
    this.stream = stream;
    // Destroyed in the middle, as it is to be.
    stream.on('error', () => undefined);
    stream.write(encodeCount(ENDLESS));
  }
}

async function startDownload(contender: Contender): Promise<Bulk> {
  const bulk = new Bulk(await contender.dial('source'));
  bulk.stream.on('data', (chunk: Buffer) => (bulk.moved += chunk.length));
  return bulk;
}

async function startUpload(contender: Contender): Promise<Bulk> {
  const bulk = new Bulk(await contender.dial('sink'));
  const { stream } = bulk;
  const send = (): void => {
    let goesOn = true;
    while (goesOn && stream.writable) {
      goesOn = stream.write(CHUNK);
      bulk.moved += CHUNK.length;
    }
  };
  stream.on('drain', send).resume();
  send();
  return bulk;
}

/** Echoes on one stream while another one is busy; with it, what that one moved meanwhile in MB/s. */
async function echoBeside(bulk: Bulk, contender: Contender): Promise<{ times: number[]; rate: number }> {
  await waitUntil('the bulk to be under way', () => bulk.moved > UNDER_WAY);
  const stream = await contender.dial('echo');
  const conversation = new Conversation(stream);
  const times: number[] = [];
  const movedBefore = bulk.moved;
  const start = performance.now();
  let now = start;
  while (times.length < ECHOES && now - start < LIMIT_MS) {
    await conversation.ask(1);
    const answered = performance.now();
    times.push(answered - now);
    now = answered;
  }
  const rate = (bulk.moved - movedBefore) / 1e6 / ((now - start) / 1000);
  stream.destroy();
  return { times, rate };
}

function besideBulk(
  name: string,
  title: string,
  startBulk: (contender: Contender) => Promise<Bulk>,
  goals: readonly Goal[],
): Figure {
  return {
    name,
    title,
    metrics: [
      { name: 'p50', unit: 'ms', goals: [] },
      { name: 'p99', unit: 'ms', goals },
      // An echo is soon back from beside a bulk that stands still.
      { name: 'the bulk meanwhile', unit: 'MB/s', goals: [] },
    ],
    warmUp: warmUpEchoes,
    async measure(contender) {
      const bulk = await startBulk(contender);
      try {
        const { times, rate } = await echoBeside(bulk, contender);
        return [quantile(times, 0.5), quantile(times, 0.99), rate];
      } finally {
        await destroyAll([bulk.stream]);
      }
    },
  };
}

export const echoBesideDownload = besideBulk(
  'echo-beside-download',
  '1-byte echo beside a stream that is busy downwards',
  startDownload,
  [],
);

export const echoBesideUpload = besideBulk(
  'echo-beside-upload',
  '1-byte echo beside a stream that is busy upwards',
  startUpload,
  [{ atMost: 10 }],
);
