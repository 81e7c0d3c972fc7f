/*
 * The endpoints, as a process of their own, so that their work is not the client's. It listens, reports its ports to its parent, and ends
 * with it.
 */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { createAuthority } from '../../lib/testing/certificates.js';
import type { EndpointAddress, EndpointName } from './contender.js';
import { CHUNK, COUNT_BYTES } from './figures/bulk.js';

const HOST = '127.0.0.1';

/** Time between the two pieces of an answer. */
const GAP_MS = 1;

type TcpEndpoint = Exclude<EndpointName, 'https'>;

const serve: Record<TcpEndpoint, (socket: Socket) => void> = {
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

/** Answers a GET of `/N` with N bytes. */
function sendBody(request: IncomingMessage, response: ServerResponse): void {
  let left = Number(request.url?.slice(1));
  response.setHeader('content-length', left);
  const send = (): void => {
    while (left > CHUNK.length) {
      left -= CHUNK.length;
      if (!response.write(CHUNK)) {
        response.once('drain', send);
        return;
      }
    }
    response.end(CHUNK.subarray(0, left));
  };
  send();
}

async function listen(server: Server): Promise<number> {
  server.listen(0, HOST, 4096);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function listenFor(endpoint: TcpEndpoint): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    // A client that hangs up while an answer is on its way is no concern of ours.
    socket.on('error', () => socket.destroy());
    serve[endpoint](socket);
  });
  return listen(server);
}

const authority = createAuthority('benchmark');
const { certificate, privateKey } = authority.issue({ commonName: 'endpoint', altNames: [HOST] });
const https = createHttpsServer({ cert: certificate, key: privateKey, keepAliveTimeout: 0 }, sendBody);

const ports: EndpointAddress['ports'] = {
  echo: await listenFor('echo'),
  twoPieces: await listenFor('twoPieces'),
  source: await listenFor('source'),
  sink: await listenFor('sink'),
  https: await listen(https),
};
process.on('disconnect', () => process.exit());
process.send?.({ ports, certificateAuthority: authority.certificate });
