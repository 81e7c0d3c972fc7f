/*
 * The endpoints, as a process of their own, so that their work is not the client's. It listens, reports its ports to its parent, and ends
 * with it.
 */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import type { EndpointName } from './contender.js';
import { CHUNK, COUNT_BYTES } from './figures/bulk.js';

/** Time between the two pieces of an answer. */
const GAP_MS = 1;

const serve: Record<EndpointName, (socket: Socket) => void> = {
  /** Returns what it gets. */
  echo: (socket) => void socket.on('data', (chunk) => socket.write(chunk)),

  /** Answers whatever it gets with one byte, and another one a little later. */
  twoPieces: (socket) =>
    void socket.on('data', () => {
      socket.write('1');
      setTimeout(() => socket.write('2'), GAP_MS);
    }),

  /** Is told a count, and sends as many bytes. */
  source: (socket) =>
    void socket.on('data', (request) => {
      let left = request.readUIntBE(0, COUNT_BYTES);
      const send = (): void => {
        while (left > 0) {
          const chunk = CHUNK.subarray(0, left);
          left -= chunk.length;
          if (!socket.write(chunk) && left > 0) {
            socket.once('drain', send);
            return;
          }
        }
      };
      send();
    }),

  /** Is told a count, takes as many bytes, and answers with one. */
  sink: (socket) => {
    let left: number | undefined;
    socket.on('data', (chunk) => {
      left =
        left === undefined
          ? chunk.readUIntBE(0, COUNT_BYTES) + COUNT_BYTES - chunk.length
          : left - chunk.length;
      if (left > 0) return;
      left = undefined;
      socket.write('!');
    });
  },
};

async function listen(handle: (socket: Socket) => void): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    // A client that hangs up while an answer is on its way is no concern of ours.
    socket.on('error', () => socket.destroy());
    handle(socket);
  });
  server.listen(0, '127.0.0.1', 4096);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const ports: Record<EndpointName, number> = {
  echo: await listen(serve.echo),
  twoPieces: await listen(serve.twoPieces),
  source: await listen(serve.source),
  sink: await listen(serve.sink),
};
process.on('disconnect', () => process.exit());
process.send?.(ports);
