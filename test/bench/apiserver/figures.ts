import type { Figure } from '../figure.js';
import { quantile } from '../statistics.js';
import type { Way } from './way.js';

/** The ways that are compared. */
export const PROXY = 'proxy';
export const TUNNEL = 'tunnel alone';
export const OWN_TUNNEL = "tunnel in the client's process";
export const BARE_PROXY = 'bare proxy';
export const ANSWER = 'no tunnel';

const AT_ONCE = 16;
const REQUESTS = 3000;
const ECHOES = 500;

/** Until the compiler has seen it all. */
const WARM_UP_REQUESTS = 8000;
const WARM_UP_ECHOES = 2000;

const gets: Figure<Way> = {
  name: 'gets',
  title: `GET of 256 bytes from a pod, ${AT_ONCE} at once`,
  metrics: [
    { name: 'rate', unit: '/s', goals: [{ atLeast: 0.6, relativeTo: TUNNEL }] },
    { name: 'CPU of the process with the tunnel', unit: 'µs per GET', goals: [] },
  ],
  warmUp: ({ client }) => client.call('get', { requests: WARM_UP_REQUESTS, atOnce: AT_ONCE }),
  async measure(way) {
    const before = await way.cpuMs();
    const ms = await way.client.call('get', { requests: REQUESTS, atOnce: AT_ONCE });
    const cpuMs = (await way.cpuMs()) - before;
    return [REQUESTS / (ms / 1000), (1000 * cpuMs) / REQUESTS];
  },
};

const echoes: Figure<Way> = {
  name: 'echoes',
  title: '1-byte echo of a cat in a container',
  metrics: [
    { name: 'p50', unit: 'ms', goals: [{ atMost: 1, beyond: OWN_TUNNEL }] },
    { name: 'p99', unit: 'ms', goals: [] },
  ],
  warmUp: ({ client }) => client.call('echo', WARM_UP_ECHOES),
  async measure({ client }) {
    const times = await client.call('echo', ECHOES);
    return [quantile(times, 0.5), quantile(times, 0.99)];
  },
};

/** What is measured, in the order in which it is shown, and of which ways beside those that can do anything. */
export const FIGURES: readonly { readonly figure: Figure<Way>; readonly ways: readonly string[] }[] = [
  { figure: gets, ways: [OWN_TUNNEL, TUNNEL, BARE_PROXY, ANSWER] },
  { figure: echoes, ways: [OWN_TUNNEL] },
];
