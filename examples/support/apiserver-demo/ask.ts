import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import type { Cluster } from './cluster.js';
import type { Attempt } from './kubectl.js';

/** Asks as kubectl would, where that is a GET. */
export function askingFrom(server: string, { certificateAuthority, token }: Cluster): Attempt {
  return async ({ path = '/' }, signal) => {
    const headers = { authorization: `Bearer ${token}` };
    const options = { ca: certificateAuthority, headers, agent: false, signal };
    const [response] = (await once(https.get(`${server}${path}`, options), 'response')) as [IncomingMessage];
    return { code: response.statusCode === 200 ? 0 : 1, shown: await text(response) };
  };
}
