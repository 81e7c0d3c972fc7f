import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

/** An HTTP proxy that knows CONNECT only (RFC 9110 §9.3.6), and one address: whatever it is asked for, it connects to this machine. */
export interface ConnectProxy {
  readonly url: string;
  /** What it was asked for, as `host:port`. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

export async function startConnectProxy(): Promise<ConnectProxy> {
  const asked: string[] = [];
  const sockets = new Set<Duplex>();
  const keep = (socket: Duplex): void => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  };
  const server = createServer((_request, response) => response.writeHead(405).end());
  server.on('connection', keep);
  server.on('connect', ({ url = '' }: IncomingMessage, client: Duplex, head: Buffer) => {
    asked.push(url);
    const endpoint = connect({ host: '127.0.0.1', port: Number(url.split(':').at(-1)), allowHalfOpen: true });
    keep(endpoint);
    endpoint.once('connect', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      endpoint.write(head);
      client.pipe(endpoint).pipe(client);
    });
    endpoint.once('close', () => client.destroy());
    client.once('close', () => endpoint.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async close() {
      const closed = once(server.close(), 'close');
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
