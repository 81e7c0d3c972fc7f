import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { PendingSocket } from './pending-socket.js';

/** What `ClientRequest` and Node's own agents call on an agent, as it is and not as `@types/node` has it. */
export interface AgentMethods {
  readonly addRequest: (this: Agent, request: ClientRequest, options: object) => void;
  readonly keepSocketAlive: (this: Agent, socket: Duplex) => boolean;
}

/** Which stream each socket that an agent has made stands on: itself, or what its TLS runs over. */
const streams = new WeakMap<object, PendingSocket>();

/** Makes a socket known to {@link dropDeadSockets}, and the response that is read from it fail with it. */
export function adopt(socket: Duplex, stream: PendingSocket): void {
  streams.set(socket, stream);
  // Before Node's own listener, which finishes the parser: that would end a response of unknown length as if
  // it were complete.
  const failResponse = (error: Error): void => {
    const response = responseOn(socket);
    if (response?.complete === false) response.destroy(error);
  };
  socket.on('error', failResponse);
  // One that was upgraded belongs to its user, who is to hear of errors that nobody listens to.
  socket.once('agentRemove', () => {
    if (!socket.destroyed) socket.off('error', failResponse);
  });
}

/**
 * Takes the sockets out of an agent's pool that have died without its having heard of it yet: `close` comes
 * some turns of the event loop later than the end, and a request made in between would be given a dead
 * socket.
 */
export function dropDeadSockets(agent: Agent): void {
  let dead: Duplex[] | undefined;
  for (const name in agent.freeSockets) {
    for (const socket of agent.freeSockets[name] ?? [])
      if (streams.get(socket)?.isReusable === false) (dead ??= []).push(socket);
  }
  for (const socket of dead ?? []) {
    socket.destroy();
    socket.emit('agentRemove');
  }
}

/** Closes what an agent keeps, now and from now on; requests under way go on. */
export function retire(agent: Agent): void {
  agent.maxFreeSockets = 0;
  for (const socket of freeSockets(agent)) socket.destroy();
}

const freeSockets = (agent: Agent): readonly Duplex[] =>
  Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? []);

/** Tells whether the dialer's `close()` has to wait for a socket: not for one that is kept for later. TLS sockets do not pass it on. */
export function setKept(socket: Duplex, kept: boolean): void {
  const stream = streams.get(socket);
  if (kept) stream?.unref();
  else stream?.ref();
}

/** The response that is being read from a socket. Node has no public way to ask for it. */
function responseOn(socket: Duplex): IncomingMessage | null | undefined {
  const { _httpMessage: request } = socket as { _httpMessage?: { res?: IncomingMessage | null } | null };
  return request?.res;
}
