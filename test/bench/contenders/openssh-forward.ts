import { freePort } from '../../support/loopback-port.js';
import type { EndpointName, Entrant } from '../contender.js';
import { openSocket } from './local-socket.js';
import { startOpenSsh } from './openssh.js';

/** OpenSSH's client with a local port for each endpoint: `ssh -N -L`. */
export const opensshForward: Entrant = {
  name: 'ssh -L',
  async start(course) {
    const { host, ports } = course.endpoints;
    const localPorts = {} as Record<EndpointName, number>;
    const forwards: string[] = [];
    for (const [endpoint, port] of Object.entries(ports)) {
      const localPort = await freePort();
      localPorts[endpoint as EndpointName] = localPort;
      forwards.push('-L', `127.0.0.1:${localPort}:${host}:${port}`);
    }
    const ssh = await startOpenSsh(course, forwards, localPorts.echo);
    return {
      name: opensshForward.name,
      dial: (endpoint) => openSocket(localPorts[endpoint]),
      close: () => ssh.close(),
    };
  },
};
