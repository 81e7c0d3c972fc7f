import type { Socket } from 'node:net';
import { freePort } from '../../support/loopback-port.js';
import type { Entrant } from '../contender.js';
import { openSocket } from './local-socket.js';
import { startOpenSsh } from './openssh.js';

/** OpenSSH's client as a SOCKS5 proxy: `ssh -N -D`. */
export const opensshSocks: Entrant = {
  name: 'ssh -D',
  async start(course) {
    const { host, ports } = course.endpoints;
    const proxyPort = await freePort();
    const ssh = await startOpenSsh(course, ['-D', `127.0.0.1:${proxyPort}`], proxyPort);
    return {
      name: opensshSocks.name,
      dial: async (endpoint) => {
        const socket = await openSocket(proxyPort);
        await connectThrough(socket, host, ports[endpoint]);
        return socket;
      },
      close: () => ssh.close(),
    };
  },
};

/** Version 5, with one method to choose from: no authentication (RFC 1928 §3). */
const GREETING = [5, 1, 0];

/** The method chosen (RFC 1928 §3) and a reply with an IPv4 address (§6), which is what OpenSSH sends. */
const ANSWER_BYTES = 2 + 10;

/**
 * Has a SOCKS5 proxy connect a socket to an IPv4 address. Greeting and request go out together: the proxy has no choice to tell us of, and
 * so it takes one round trip where most clients take two.
 */
function connectThrough(socket: Socket, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error?: Error): void => {
      socket.destroy();
      reject(error ?? new Error('ssh -D did not connect'));
    };
    const takeAnswer = (): void => {
      const answer = socket.read(ANSWER_BYTES) as Buffer | null;
      if (answer === null) return;
      socket.off('readable', takeAnswer).off('end', fail).off('error', fail);
      if (answer.length === ANSWER_BYTES && answer[1] === 0 && answer[3] === 0) resolve();
      else fail();
    };
    socket.on('readable', takeAnswer).on('end', fail).on('error', fail);
    const request = [5, 1, 0, 1, ...host.split('.').map(Number), port >> 8, port & 0xff];
    socket.write(Uint8Array.of(...GREETING, ...request));
  });
}
