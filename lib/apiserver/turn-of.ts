import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Exchange } from './exchange.js';

/**
 * How many requests may wait on one connection for those before them. Nobody counts them as under way, and Node reads on as long as there
 * is nothing to be sent. Clients of Kubernetes send none before the last one is answered.
 */
const MAX_WAITING = 100;

/** The requests of a connection, in the order in which they came. */
interface Turns {
  /** The answer to the last one, until it is over. */
  last: ServerResponse | undefined;
  /** What to call when the turn of one has come, or nobody is left. */
  readonly waiting: Set<() => void>;
}

const known = new WeakMap<Socket, Turns>();

/**
 * Waits until nothing is left to be answered before it on the same connection (RFC 9112 §9.3.2): only then does Node tell that a client is gone.
 * One connection has one request at a time that something is done for. A connection on which too many wait is closed.
 */
export async function turnOf({ request, response }: Exchange): Promise<void> {
  const { socket } = request;
  if (!(response instanceof ServerResponse) || socket.destroyed) return;
  const turns = turnsOf(socket);
  if (turns.last !== response) {
    turns.last = response;
    response.once('close', () => {
      if (turns.last === response) turns.last = undefined;
    });
  }
  if (response.socket !== null || request.destroyed) return;
  if (turns.waiting.size >= MAX_WAITING) {
    socket.destroy();
    return;
  }
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('socket', done);
      turns.waiting.delete(done);
      resolve();
    };
    response.once('socket', done);
    turns.waiting.add(done);
  });
}

/**
 * Whether an upgrade has come before what its client asked for first was answered. Node hands it the connection all the same, and forgets
 * the others: all that can be done is to close it.
 */
export const isOutOfTurn = ({ socket }: IncomingMessage): boolean =>
  known.get(socket)?.last?.writableEnded === false;

/** Whether nobody is left to be answered. A response whose turn has not come does not tell itself. */
export function isGone({ request, response }: Exchange): boolean {
  return response instanceof ServerResponse ? request.socket.destroyed : response.stream.destroyed;
}

function turnsOf(socket: Socket): Turns {
  const before = known.get(socket);
  if (before !== undefined) return before;
  const turns: Turns = { last: undefined, waiting: new Set() };
  known.set(socket, turns);
  // A request is told so by Node only until the connection is taken over by an upgrade, or by CONNECT.
  socket.once('close', () => {
    for (const done of turns.waiting) done();
  });
  return turns;
}
