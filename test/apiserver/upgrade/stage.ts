import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { Backend } from '../../../lib/apiserver/backend.js';
import type { UpgradeExchange } from '../../../lib/apiserver/exchange.js';
import { StatusError } from '../../../lib/apiserver/index.js';
import { relayUpgrade, type UpgradeRelay } from '../../../lib/apiserver/upgrade/relay-upgrade.js';
import { sendStatusOnSocket } from '../../../lib/apiserver/upgrade/send-status.js';
import type { Dialer } from '../../../lib/index.js';
import { createAuthority } from '../../../lib/testing/index.js';
import { Lab, readAll } from '../../support/dialer.js';

export const authority = createAuthority('proxy-ca');
const own = authority.issue({ commonName: 'proxy', altNames: ['127.0.0.1', 'localhost'] });

/** How a test's backend is reached. */
export interface Reach {
  readonly dialer?: Dialer;
  readonly tls?: ConnectionOptions;
}

/** A proxy that relays every upgrade to one backend. */
export class Proxy extends Lab {
  /** What differs from one relay to the next. */
  options: Partial<UpgradeRelay> = {};
  /** How the relays ended so far: with an error that the client was told, or without. */
  readonly ended: (Error | undefined)[] = [];
  readonly server: http.Server;
  readonly #isSecure: boolean;
  #underWay: Promise<void> = Promise.resolve();

  private constructor(isSecure: boolean, insecureHTTPParser: boolean) {
    super();
    this.#isSecure = isSecure;
    const limits = { maxHeaderSize: 1024 * 1024, insecureHTTPParser };
    this.server = isSecure
      ? https.createServer({ ...limits, cert: own.certificate, key: own.privateKey })
      : http.createServer(limits);
    const sockets = new Set<Socket>();
    this.server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    this.server.on('upgrade', (request: http.IncomingMessage, socket: Duplex, head: Buffer) => {
      this.#underWay = this.serve({ request, socket, head });
    });
    this.onEnd(async () => {
      const closed = new Promise((resolve) => this.server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    });
  }

  static async start({ tls = false, insecureHTTPParser = false } = {}): Promise<Proxy> {
    const proxy = new Proxy(tls, insecureHTTPParser);
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    return proxy;
  }

  /** Does with an upgrade what a test wants. Default: relays it. */
  serve = async (upgrade: UpgradeExchange): Promise<void> => {
    const { backend } = this;
    const { path = upgrade.request.url ?? '/' } = this.options;
    const error = await relayUpgrade({ ...this.options, upgrade, backend, path }).then(
      () => undefined,
      (thrown: unknown) => thrown as Error,
    );
    if (error instanceof StatusError) sendStatusOnSocket(upgrade.socket, error);
    else if (error !== undefined) upgrade.socket.destroy();
    this.ended.push(error);
  };

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `${this.#isSecure ? 'wss' : 'ws'}://127.0.0.1:${this.port}`;
  }

  /** What is relayed to; nothing that can be reached, unless a test says so. */
  get backend(): Backend {
    return this.options.backend ?? unreachable;
  }

  /** Relays to this port of this machine. */
  to(port: number, reach: Reach = {}): this {
    this.options = { ...this.options, backend: backendAt(port, reach) };
    return this;
  }

  /** Relays to a server of TCP, which the test plays. */
  async toRaw(serve: (socket: Socket) => void): Promise<RawBackend> {
    const backend = new RawBackend();
    const { port } = await this.endpoint((socket) => {
      backend.sockets.push(socket);
      socket.on('data', (chunk: Buffer) => backend.chunks.push(chunk));
      serve(socket);
    });
    this.to(port);
    return backend;
  }

  /** Connects, and sends this. */
  send(text: string | Buffer): Socket {
    const client = this.#isSecure
      ? connectTls({ host: '127.0.0.1', port: this.port, ca: authority.certificate })
      : connectTcp({ host: '127.0.0.1', port: this.port });
    client.on('error', () => undefined);
    client.write(text, 'latin1');
    this.onEnd(() => client.destroy());
    return client;
  }

  /** All that is answered to this, to the end of the connection. */
  async answer(text: string): Promise<string> {
    return (await readAll(this.send(text))).toString('latin1');
  }

  /** When the relay of the last upgrade is over. */
  async over(): Promise<Error | undefined> {
    await this.#underWay;
    return this.ended.at(-1);
  }
}

/** What a backend has been sent. */
export class RawBackend {
  readonly sockets: Socket[] = [];
  readonly chunks: Buffer[] = [];

  /** Whether every connection has been ended by the proxy. */
  get isGone(): boolean {
    return (
      this.sockets.length > 0 && this.sockets.every((socket) => socket.readableEnded || socket.destroyed)
    );
  }

  get received(): string {
    return Buffer.concat(this.chunks).toString('latin1');
  }
}

export function backendAt(port: number, { dialer, tls }: Reach = {}): Backend {
  const host = '127.0.0.1';
  return {
    scheme: tls === undefined ? 'http' : 'https',
    host,
    port,
    authority: `${host}:${port}`,
    agent: http.globalAgent,
    connect: async (signal) => {
      const stream =
        dialer === undefined ? await connected(port, signal) : await dialer.dial(host, port, { signal });
      if (tls === undefined) return stream;
      const secure = connectTls({ host, ...tls, socket: stream, ALPNProtocols: ['http/1.1'] });
      await once(secure, 'secureConnect');
      return secure;
    },
  };
}

async function connected(port: number, signal?: AbortSignal): Promise<Socket> {
  const socket = connectTcp({ host: '127.0.0.1', port, noDelay: true, ...(signal && { signal }) });
  await once(socket, 'connect');
  return socket;
}

const unreachable: Backend = {
  ...backendAt(1),
  connect: () => Promise.reject(new Error('nasty error')),
};

/** The head of a request to upgrade, with these fields behind what every one has. */
export const upgradeRequest = (...fields: readonly string[]): string =>
  ['GET /exec HTTP/1.1', 'Host: proxy', ...UPGRADE, ...fields, '', ''].join('\r\n');

export const UPGRADE = ['Connection: Upgrade', 'Upgrade: websocket'];

export const SWITCHING =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

/** The message of a Status in an answer of HTTP. */
export function statusIn(answer: string): { code: number; message: string; reason?: string } {
  return JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)) as { code: number; message: string };
}
