import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { findProgram } from '../../support/find-program.js';
import { freePort } from '../../support/loopback-port.js';
import { waitUntil } from '../../support/processes.js';
import { Absent, type EndpointName, type Entrant } from '../contender.js';

/** OpenSSH's own client with its defaults, as a process beside ours: `ssh -N -L`. */
export const opensshForward: Entrant = {
  name: 'ssh -L',
  async start({ sshd, endpoints, directory }) {
    const program = findProgram('ssh');
    if (program === undefined) throw new Absent('ssh is not installed');
    const key = join(directory, 'id');
    const knownHosts = join(directory, 'known_hosts');
    await writeFile(key, sshd.privateKey, { mode: 0o600 });
    await writeFile(knownHosts, sshd.knownHosts);

    const localPorts = {} as Record<EndpointName, number>;
    const forwards: string[] = [];
    for (const [endpoint, port] of Object.entries(endpoints.ports)) {
      const localPort = await freePort();
      localPorts[endpoint as EndpointName] = localPort;
      forwards.push('-L', `127.0.0.1:${localPort}:${endpoints.host}:${port}`);
    }
    const options = {
      UserKnownHostsFile: knownHosts,
      IdentitiesOnly: 'yes',
      BatchMode: 'yes',
      ExitOnForwardFailure: 'yes',
    };
    const child = spawn(
      program,
      [
        ...['-N', '-F', 'none', '-i', key, '-p', `${sshd.port}`],
        ...Object.entries(options).flatMap(([option, value]) => ['-o', `${option}=${value}`]),
        ...forwards,
        `${sshd.username}@${sshd.address}`,
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    const exited = once(child, 'exit');
    await waitUntil('ssh -L to listen', () => {
      if (child.exitCode !== null) throw new Error(`ssh -L ended with code ${child.exitCode}`);
      return answers(localPorts.echo);
    });
    return {
      name: opensshForward.name,
      dial: async (endpoint) => {
        const socket = connect({ host: '127.0.0.1', port: localPorts[endpoint], noDelay: true });
        await once(socket, 'connect');
        return socket;
      },
      close: async () => {
        child.kill();
        await exited;
      },
    };
  },
};

async function answers(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
