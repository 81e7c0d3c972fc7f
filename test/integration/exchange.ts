import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Dialer } from '../../lib/index.js';
import { startEndpoint, type Endpoint } from '../support/endpoints.js';
import { patternSha256, patternStream } from '../support/pattern.js';
import type { EndpointPlace } from '../support/sshd.js';

/** What arrived at one end of a stream: how many bytes, and their SHA-256. */
export type Arrived = `${number} bytes ${string}`;

/** What arrived over streams on which both sides sent at once, in an order of no meaning. */
export interface Exchanged {
  /** At the endpoint. */
  readonly up: readonly Arrived[];
  /** At the dialer. */
  readonly down: readonly Arrived[];
}

/** Streams, and bytes on each of them in each direction. */
export interface Shape {
  readonly streams: number;
  readonly bytes: number;
}

/** Every stream and direction carries bytes of its own, so that none can pass for another. */
const upSeed = (index: number): number => 1 + index;
const downSeed = (index: number): number => 1_000_001 + index;

/** Reads to the end. */
export async function take(chunks: AsyncIterable<Buffer>): Promise<Arrived> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of chunks) {
    bytes += chunk.length;
    hash.update(chunk);
  }
  return `${bytes} bytes ${hash.digest('hex')}`;
}

/** What a stream gives until its end; its writable half, if it has one, is left alone. */
export const chunksOf = (stream: Readable): AsyncIterable<Buffer> =>
  stream.iterator({ destroyOnReturn: false });

async function exchangeOnce(
  dialer: Dialer,
  endpoint: Endpoint,
  bytes: number,
  seed: number,
): Promise<Arrived> {
  const socket = await dialer.dial(endpoint.host, endpoint.port, { allowHalfOpen: true });
  const closed = once(socket, 'close');
  const arrived = take(chunksOf(socket));
  await Promise.all([arrived, pipeline(patternStream(bytes, seed), socket)]);
  await closed;
  return arrived;
}

/** Opens streams and sends so many bytes up on each, while the endpoint sends as many down. */
export async function exchange(
  dialer: Dialer,
  place: EndpointPlace,
  { streams, bytes }: Shape,
): Promise<Exchanged> {
  const ups: Promise<Arrived>[] = [];
  const endpoint = await startEndpoint((socket) => {
    const arrived = take(chunksOf(socket));
    arrived.catch(() => undefined); // told to whoever asks
    const sent = pipeline(patternStream(bytes, downSeed(ups.length)), socket);
    sent.catch(() => undefined); // the other end notices
    ups.push(arrived);
  }, place);
  try {
    const indexes = Array.from({ length: streams }, (_, index) => index);
    const downs = await Promise.all(
      indexes.map((index) => exchangeOnce(dialer, endpoint, bytes, upSeed(index))),
    );
    return { up: (await Promise.all(ups)).sort(), down: downs.sort() };
  } finally {
    await endpoint.close();
  }
}

const known = new Map<string, Arrived>();

function expectedArrival(bytes: number, seed: number): Arrived {
  const key = `${bytes} ${seed}`;
  const arrival = known.get(key) ?? (`${bytes} bytes ${patternSha256(bytes, seed)}` as const);
  known.set(key, arrival);
  return arrival;
}

/** What such an exchange must have brought. */
export function expectedExchange({ streams, bytes }: Shape): Exchanged {
  const indexes = Array.from({ length: streams }, (_, index) => index);
  return {
    up: indexes.map((index) => expectedArrival(bytes, upSeed(index))).sort(),
    down: indexes.map((index) => expectedArrival(bytes, downSeed(index))).sort(),
  };
}
