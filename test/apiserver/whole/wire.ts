import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { createWebSocketStream, WebSocket } from 'ws';
import { SpdySession } from '../../../lib/spdy/session.js';
import type { SpdyStream } from '../../../lib/spdy/stream.js';
import { createAuthority } from '../../../lib/testing/index.js';
import type { ClusterStage } from '../cluster-stage.js';

/** What is answered in place of an upgrade. */
export interface Refused {
  readonly status: number;
  readonly body: string;
}

/** A request to upgrade, and how it was answered. */
export type Upgraded = { readonly socket: Duplex; readonly protocol: string } | Refused;

/** A WebSocket through the whole proxy, as `admin` unless the headers say otherwise. */
export class Wire {
  readonly socket: WebSocket;
  /** The subprotocol that was chosen. */
  protocol: string | undefined;
  /** The code of its close. */
  readonly closed: Promise<number>;
  /** Its messages so far, the first byte of which is a channel. */
  readonly messages: { readonly bytes: Buffer; readonly isBinary: boolean }[] = [];

  constructor(
    stage: ClusterStage,
    path: string,
    protocols: string,
    { url = stage.url, headers = stage.as('admin') } = {},
  ) {
    const ca = stage.apiServer.certificateAuthority;
    // The package takes no names of protocols such as a tunnel's, neither asked for nor given.
    const isTunnel = protocols.includes('/');
    const given = isTunnel ? { ...headers, 'sec-websocket-protocol': protocols } : headers;
    this.socket = new WebSocket(url.replace(/^http/, 'ws') + path, isTunnel ? [] : protocols.split(', '), {
      ca,
      headers: given,
      finishRequest: (request) => {
        request.prependOnceListener('upgrade', (response) => {
          this.protocol = response.headers['sec-websocket-protocol'];
          if (isTunnel) delete response.headers['sec-websocket-protocol'];
        });
        request.end();
      },
    });
    this.closed = new Promise((resolve) => this.socket.once('close', resolve));
    this.socket.on('error', () => undefined);
    this.socket.on('message', (bytes: Buffer, isBinary) => this.messages.push({ bytes, isBinary }));
    stage.onEnd(() => this.socket.terminate());
  }

  async opened(): Promise<this> {
    await once(this.socket, 'open');
    return this;
  }

  async refused(): Promise<Refused> {
    const [, response] = (await once(this.socket, 'unexpected-response')) as [unknown, IncomingMessage];
    return { status: response.statusCode ?? 0, body: await text(response) };
  }

  send(channel: number, data: Buffer | string): void {
    this.socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(data)]));
  }

  /** All that has come on a channel. */
  bytes(channel: number): Buffer {
    const own = this.messages.filter(({ bytes }) => bytes[0] === channel);
    return Buffer.concat(own.map(({ bytes }) => bytes.subarray(1)));
  }

  text(channel: number): string {
    return this.bytes(channel).toString();
  }

  /** SPDY in it, as a tunnel has it. */
  spdy(): SpdySession {
    const socket = createWebSocketStream(this.socket).on('error', () => undefined);
    return new SpdySession(socket, { side: 'client' });
  }
}

/** Asks the whole proxy for an upgrade, as `admin`. */
export async function upgrade(
  stage: ClusterStage,
  path: string,
  { method = 'POST', ...fields }: Readonly<Record<string, string>>,
): Promise<Upgraded> {
  const { hostname, port } = new URL(stage.url);
  const headers = { ...stage.as('admin'), connection: 'Upgrade', ...fields };
  const ca = stage.apiServer.certificateAuthority;
  const request = https.request({ hostname, port, path, method, headers, ca, agent: false });
  const upgraded = once(request, 'upgrade') as Promise<[IncomingMessage, Duplex, Buffer]>;
  const answered = once(request, 'response') as Promise<[IncomingMessage]>;
  for (const each of [upgraded, answered]) each.catch(() => undefined);
  request.end();
  const [response, socket, head] = await Promise.race([upgraded, answered]);
  if (socket === undefined) return { status: response.statusCode ?? 0, body: await text(response) };
  if (head !== undefined && head.length > 0) socket.unshift(head);
  stage.onEnd(() => socket.on('error', () => undefined).destroy());
  return { socket, protocol: String(response.headers['x-stream-protocol-version']) };
}

/** The same for SPDY/3.1, as kubectl does where it may not use a WebSocket. */
export const upgradeToSpdy = (stage: ClusterStage, path: string, protocol: string): Promise<Upgraded> =>
  upgrade(stage, path, { upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocol });

export const openStream = (session: SpdySession, headers: Record<string, string>): Promise<SpdyStream> =>
  session.open(new Map(Object.entries(headers)));

/** Where a kubelet that does what a test says is put, so that its node has another than the stage's. */
const STUB = { address: '10.1.0.1', port: 10_251 };

/**
 * Puts a kubelet that answers as a test says in the place of the stage's, whose proxy has to believe any certificate. Before anything is
 * asked of the node.
 */
export async function putKubelet(
  stage: ClusterStage,
  serve: (request: IncomingMessage, answer: (head: string, body?: string) => void) => void,
): Promise<void> {
  const own = createAuthority('stub').issue({ commonName: 'stub', altNames: ['stub.example'] });
  const server = https.createServer({ cert: own.certificate, key: own.privateKey });
  const listener = (request: IncomingMessage): void =>
    serve(request, (head, body = '') => {
      const lines = [`HTTP/1.1 ${head}`, `Content-Length: ${Buffer.byteLength(body)}`, 'Connection: close'];
      request.socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`);
    });
  server.on('request', listener).on('upgrade', listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stage.podPorts.set(`${STUB.address}:${STUB.port}`, (server.address() as AddressInfo).port);
  stage.onEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  stage.apiServer.put({
    kind: 'Node',
    metadata: { name: 'node-1' },
    status: {
      addresses: [{ type: 'InternalIP', address: STUB.address }],
      daemonEndpoints: { kubeletEndpoint: { Port: STUB.port } },
    },
  });
}
