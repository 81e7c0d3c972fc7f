import { Agent } from 'node:https';
import type { Entrant } from '../contender.js';
import { openSocket } from './local-socket.js';

/** No tunnel at all: the limit of the machine and of the way it is measured. */
export const plainTcp: Entrant = {
  name: 'plain TCP',
  start: ({ endpoints: { host, ports } }) =>
    Promise.resolve({
      name: plainTcp.name,
      dial: (endpoint) => openSocket(ports[endpoint], host),
      agent: () => new Agent({ keepAlive: true }),
      close: () => Promise.resolve(),
    }),
};
