import { once } from 'node:events';
import { connect } from 'node:net';
import type { Entrant } from '../contender.js';

/** No tunnel at all: the limit of the machine and of the way it is measured. */
export const plainTcp: Entrant = {
  name: 'plain TCP',
  start: ({ endpoints: { host, ports } }) =>
    Promise.resolve({
      name: plainTcp.name,
      dial: async (endpoint) => {
        const socket = connect({ host, port: ports[endpoint], noDelay: true });
        await once(socket, 'connect');
        return socket;
      },
      close: () => Promise.resolve(),
    }),
};
