import { once } from 'node:events';
import { get, request, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { SocksClient } from 'socks';
import type { HostAndPort } from './command-line.js';

/** What an `http:` URL answers through a proxy, as a program finds it that knows nothing of tunnels. */
export async function fetchThroughProxy(
  proxy: HostAndPort,
  isHttp: boolean,
  url: string,
  signal: AbortSignal,
): Promise<string> {
  const { hostname: host, port } = new URL(url);
  const endpoint = { host, port: port === '' ? 80 : Number(port) };
  const socket = isHttp ? await byConnect(proxy, endpoint, signal) : await bySocks(proxy, endpoint);
  const [response] = (await once(
    get(url, { createConnection: () => socket, signal, headers: { connection: 'close' } }),
    'response',
  )) as [IncomingMessage];
  return text(response);
}

async function bySocks({ host, port }: HostAndPort, destination: HostAndPort): Promise<Duplex> {
  const { socket } = await SocksClient.createConnection({
    proxy: { host, port, type: 5 },
    command: 'connect',
    destination: { ...destination },
  });
  return socket;
}

async function byConnect(
  { host, port }: HostAndPort,
  endpoint: HostAndPort,
  signal: AbortSignal,
): Promise<Duplex> {
  const asking = request({
    host,
    port,
    method: 'CONNECT',
    path: `${endpoint.host}:${endpoint.port}`,
    signal,
  });
  asking.end();
  const [response, socket] = (await once(asking, 'connect')) as [IncomingMessage, Duplex];
  if (response.statusCode === 200) return socket;
  socket.destroy();
  throw new Error(`the proxy answered ${response.statusCode} ${response.statusMessage}`);
}
