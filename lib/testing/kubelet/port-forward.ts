import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Refusal } from './answers.js';
import type { Channels } from './channels.js';
import type { Pod } from './pods.js';

/** Each port has a channel for data and one for an error, and a channel's number is a byte. */
const MAX_PORTS = 128;
/** How long an endpoint that does not read may hold up the end of what a client left it. */
const FLUSH_MS = 500;

/**
 * Reads `port` of the query (k8s.io/kubelet, pkg/cri/streaming/portforward/websocket.go).
 *
 * @throws {@link Refusal} 400
 */
export function parsePorts(query: URLSearchParams): readonly number[] {
  const given = query.getAll('port');
  if (given.length === 0) throw new Refusal(400, 'query parameter "port" is required');
  if (given.includes('')) throw new Refusal(400, 'query parameter "port" cannot be empty');
  const ports = given.flatMap((list) => list.split(',').map((text) => parsePort(text, list)));
  if (ports.length > MAX_PORTS) throw new Refusal(400, `at most ${MAX_PORTS} ports can be forwarded at once`);
  return ports;
}

function parsePort(text: string, list: string): number {
  const problem = !/^\d+$/.test(text)
    ? 'invalid syntax'
    : Number(text) > 65535
      ? 'value out of range'
      : undefined;
  if (problem !== undefined) {
    const why = `strconv.ParseUint: parsing ${JSON.stringify(text)}: ${problem}`;
    throw new Refusal(400, `unable to parse ${JSON.stringify(list)} as a port: ${why}`);
  }
  if (Number(text) === 0) throw new Refusal(400, `port ${JSON.stringify(list)} must be > 0`);
  return Number(text);
}

/**
 * Forwards ports of this machine: a connection each. Over when every endpoint has ended its own, or the client is gone; with this protocol
 * neither side can end one direction only.
 */
export async function portForward(channels: Channels, pod: Pod, ports: readonly number[]): Promise<void> {
  await Promise.all(ports.map((port, index) => forward(channels, pod, port, 2 * index)));
  await channels.close();
}

async function forward(channels: Channels, pod: Pod, port: number, channel: number): Promise<void> {
  const number = Buffer.alloc(2);
  number.writeUInt16LE(port);
  void channels.send(channel, number);
  void channels.send(channel + 1, number);
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  let problem: Error | undefined;
  socket.once('error', (error) => (problem = error));
  channels.receiveInto(socket, channel);
  void channels.gone.then(() => leave(socket));
  await channels.sendFrom(socket, channel);
  if (problem !== undefined) await channels.send(channel + 1, forwardingError(problem, pod, port));
}

/** What the error stream of a port says. */
export function forwardingError(problem: Error, pod: Pod, port: number): string {
  const where = `port ${port} to pod ${pod.name}_${pod.namespace}, uid ${pod.uid}`;
  return `error forwarding ${where}: ${asGoSays(problem, port)}`;
}

/** Gives the endpoint what the client had sent. */
export async function leave(socket: Socket): Promise<void> {
  if (socket.closed) return;
  socket.resume();
  socket.destroySoon();
  const limit = setTimeout(() => socket.destroy(), FLUSH_MS);
  await once(socket, 'close').catch(() => undefined);
  clearTimeout(limit);
}

function asGoSays(error: NodeJS.ErrnoException, port: number): string {
  const words: Record<string, string> = {
    ECONNREFUSED: `dial tcp4 127.0.0.1:${port}: connect: connection refused`,
    ECONNRESET: 'read: connection reset by peer',
    EPIPE: 'write: broken pipe',
  };
  const what = words[error.code ?? ''] ?? error.message;
  if (error.syscall !== 'connect') return what;
  return `failed to execute portforward in network namespace: failed to connect to localhost:${port}: ${what}`;
}
