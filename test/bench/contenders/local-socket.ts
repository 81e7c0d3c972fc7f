import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A TCP connection as a client that cares for latency makes it. */
export async function openSocket(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true });
  await once(socket, 'connect');
  return socket;
}
