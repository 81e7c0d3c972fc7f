import { resizeApplicationHeap } from '../application-heap.js';
import type { Contestant, Figure } from '../figure.js';
import { HttpsClient } from './https-client.js';
import { NPM_PEERS, PLAIN_TCP } from './names.js';

const AT_ONCE = 16;
const REQUESTS = 3000;
const SMALL_BODY = 256;
const LARGE_BODY = 256 * 1024 * 1024;
const HANDSHAKES = 300;

/** Until the compiler has seen it all. */
const WARM_UP_REQUESTS = 8000;
const WARM_UP_HANDSHAKES = 500;

/** Resolves with how many seconds the work took, with a client of its own that is connected before. */
async function secondsOf(
  contestant: Contestant,
  connections: number,
  work: (client: HttpsClient) => Promise<void>,
): Promise<number> {
  const client = new HttpsClient(contestant);
  try {
    await client.getMany(1, connections, connections);
    const start = performance.now();
    await work(client);
    return (performance.now() - start) / 1000;
  } finally {
    client.close();
  }
}

const requestsIn = (contestant: Contestant, requests: number): Promise<number> =>
  secondsOf(contestant, AT_ONCE, (client) => client.getMany(SMALL_BODY, requests, AT_ONCE));

export const httpsRequests: Figure = {
  name: 'https-requests',
  title: `HTTPS GET of ${SMALL_BODY} bytes through an agent with keep-alive, ${AT_ONCE} at once`,
  metrics: [
    {
      name: 'rate',
      unit: '/s',
      goals: [
        { atLeast: 0.75, relativeTo: PLAIN_TCP },
        ...NPM_PEERS.map((relativeTo) => ({ atLeast: 1, relativeTo })),
      ],
    },
  ],
  warmUp: (contestant) => requestsIn(contestant, WARM_UP_REQUESTS),
  measure: async (contestant) => [REQUESTS / (await requestsIn(contestant, REQUESTS))],
};

async function pullBody(contestant: Contestant): Promise<number> {
  resizeApplicationHeap();
  return LARGE_BODY / 1e6 / (await secondsOf(contestant, 1, (client) => client.get(LARGE_BODY)));
}

export const httpsBody: Figure = {
  name: 'https-body',
  title: 'body of one HTTPS GET through an agent, 256 MiB',
  metrics: [{ name: 'rate', unit: 'MB/s', goals: [{ atLeast: 0.6, relativeTo: PLAIN_TCP }] }],
  warmUp: pullBody,
  measure: async (contestant) => [await pullBody(contestant)],
};

async function handshakesIn(contestant: Contestant, handshakes: number): Promise<number> {
  const client = new HttpsClient(contestant);
  let left = handshakes;
  const work = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await client.shakeHands();
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  client.close();
  return (performance.now() - start) / 1000;
}

export const tlsHandshakes: Figure = {
  name: 'tls-handshakes',
  title: `dial + full TLS handshake, ${AT_ONCE} at once`,
  metrics: [{ name: 'rate', unit: '/s', goals: [] }],
  warmUp: (contestant) => handshakesIn(contestant, WARM_UP_HANDSHAKES),
  measure: async (contestant) => [HANDSHAKES / (await handshakesIn(contestant, HANDSHAKES))],
};
