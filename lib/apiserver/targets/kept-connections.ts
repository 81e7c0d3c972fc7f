import type { Agent } from 'node:http';
import type { Duplex } from 'node:stream';

/** Bounds how many connections an agent keeps for later, for all endpoints together; Node bounds them for each endpoint. */
export function keepAtMost(agent: Agent, max: number): void {
  const methods = agent as unknown as { keepSocketAlive: (socket: Duplex) => boolean };
  const keep = methods.keepSocketAlive.bind(agent);
  methods.keepSocketAlive = (socket) => countKept(agent) < max && keep(socket);
}

function countKept({ freeSockets }: Agent): number {
  let count = 0;
  for (const name in freeSockets) count += freeSockets[name]?.length ?? 0;
  return count;
}
