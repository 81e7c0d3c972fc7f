import { once } from 'node:events';
import { createTunnel } from 'tunnel-ssh';
import { freePort } from '../../support/loopback-port.js';
import type { EndpointName, Entrant } from '../contender.js';
import { hostVerifier } from './known-host.js';
import { openSocket } from './local-socket.js';

/** tunnel-ssh: a local port and an SSH connection of its own for each endpoint. */
export const tunnelSsh: Entrant = {
  name: 'tunnel-ssh',
  async start({ sshd, endpoints }) {
    const { address, port, username, privateKey } = sshd;
    const login = { host: address, port, username, privateKey, hostVerifier: hostVerifier(sshd) };
    const localPorts = {} as Record<EndpointName, number>;
    const tunnels: Awaited<ReturnType<typeof createTunnel>>[] = [];
    for (const [endpoint, dstPort] of Object.entries(endpoints.ports)) {
      const localPort = await freePort();
      const [server, client] = await createTunnel(
        { autoClose: false, reconnectOnError: false },
        { host: '127.0.0.1', port: localPort },
        login,
        { dstAddr: endpoints.host, dstPort },
      );
      client.setNoDelay(true);
      server.on('connection', (socket) => {
        socket.setNoDelay(true);
        // It has no listener, so that a client's reset would end the process.
        socket.on('error', () => socket.destroy());
      });
      localPorts[endpoint as EndpointName] = localPort;
      tunnels.push([server, client]);
    }
    return {
      name: tunnelSsh.name,
      dial: (endpoint) => openSocket(localPorts[endpoint]),
      close: async () => {
        await Promise.all(
          tunnels.map(async ([server, client]) => {
            const closed = once(client, 'close');
            server.close(); // and the connection with it
            await closed;
          }),
        );
      },
    };
  },
};
