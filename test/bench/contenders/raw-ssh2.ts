import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { Client } from 'ssh2';
import type { Entrant } from '../contender.js';

/** ssh2 as its README shows it: one client, `forwardOut` for each stream. */
export const rawSsh2 = entrant('ssh2', false);

/** The same without Nagle's algorithm on our side, for those who know of it. */
export const rawSsh2NoDelay = entrant('ssh2+noDelay', true);

function entrant(name: string, noDelay: boolean): Entrant {
  return {
    name,
    async start({ sshd, endpoints: { host, ports } }) {
      const client = new Client();
      const { address, port, username, privateKey } = sshd;
      client.connect({ host: address, port, username, privateKey });
      await once(client, 'ready');
      if (noDelay) client.setNoDelay(true);
      return {
        name,
        dial: (endpoint) =>
          new Promise<Duplex>((resolve, reject) => {
            client.forwardOut('127.0.0.1', 0, host, ports[endpoint], (error, channel) => {
              if (error === undefined) resolve(channel);
              else reject(error);
            });
          }),
        close: async () => {
          const closed = once(client, 'close');
          client.end();
          await closed;
        },
      };
    },
  };
}
