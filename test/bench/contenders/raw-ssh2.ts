import { once } from 'node:events';
import { Agent, type RequestOptions } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect } from 'node:tls';
import { Client } from 'ssh2';
import type { Entrant } from '../contender.js';
import { hostVerifier } from './known-host.js';

/** ssh2 as its README shows it: one client, `forwardOut` for each stream. The host key is verified, which its README leaves out. */
export const rawSsh2 = entrant('ssh2', false);

/** The same without Nagle's algorithm on our side, for those who know of it. */
export const rawSsh2NoDelay = entrant('ssh2+noDelay', true);

function entrant(name: string, noDelay: boolean): Entrant {
  return {
    name,
    async start({ sshd, endpoints: { host, ports } }) {
      const client = new Client();
      const { address, port, username, privateKey } = sshd;
      client.connect({ host: address, port, username, privateKey, hostVerifier: hostVerifier(sshd) });
      await once(client, 'ready');
      if (noDelay) client.setNoDelay(true);
      return {
        name,
        dial: (endpoint) => forward(client, host, ports[endpoint]),
        agent: () => new ForwardingAgent(client),
        close: async () => {
          const closed = once(client, 'close');
          client.end();
          await closed;
        },
      };
    },
  };
}

function forward(client: Client, host: string, port: number): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
      if (error === undefined) resolve(channel);
      else reject(error);
    });
  });
}

/** The agent that ssh2's users write, for those that ssh2 has make an SSH connection for each of their sockets. */
class ForwardingAgent extends Agent {
  readonly #client: Client;

  constructor(client: Client) {
    super({ keepAlive: true });
    this.#client = client;
  }

  override createConnection(
    options: RequestOptions,
    callback: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    forward(this.#client, options.host ?? 'localhost', Number(options.port)).then(
      (channel) => callback(null, connect({ ...(options as object), socket: channel })),
      (error: unknown) => (callback as (error: unknown) => void)(error),
    );
  }
}
