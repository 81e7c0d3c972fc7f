import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Dialer, DialOptions, TunnelSocket } from '../../lib/index.js';
import type { SshNode, SshNodeOptions } from '../../lib/testing/index.js';
import { Lab } from '../support/dialer.js';

/** An SSH node, a dialer that reaches it, and HTTP servers behind it. */
export class Stage extends Lab {
  readonly ssh: SshNode;
  /** Shows what the agents dial. */
  readonly recorder: RecordingDialer;

  private constructor(node: SshNode, dialer: Dialer) {
    super();
    this.ssh = node;
    this.recorder = new RecordingDialer(dialer);
  }

  static async start(options?: SshNodeOptions): Promise<Stage> {
    const lab = new Lab();
    const node = await lab.node(options);
    const dialer = lab.dialer([node], { reconnect: { minMs: 1 } });
    const stage = new Stage(node, dialer);
    stage.onEnd(() => lab.end());
    return stage;
  }

  /** An agent that is destroyed at the end of the test. */
  using<Agent extends http.Agent>(agent: Agent): Agent {
    this.onEnd(() => agent.destroy());
    return agent;
  }

  http(listener: http.RequestListener): Promise<Served<http.Server>> {
    return this.#listen(http.createServer(listener));
  }

  https(options: https.ServerOptions, listener: http.RequestListener): Promise<Served<https.Server>> {
    return this.#listen(https.createServer(options, listener));
  }

  async #listen<Server extends http.Server | https.Server>(server: Server): Promise<Served<Server>> {
    // Only what a test itself does may end an idle connection.
    server.keepAliveTimeout = 0;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    this.onEnd(async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    });
    return { server, port: (server.address() as AddressInfo).port };
  }
}

export interface Served<Server> {
  readonly server: Server;
  readonly port: number;
}

/** Remembers what it was asked for and what it has dialled. */
export class RecordingDialer implements Dialer {
  readonly options: DialOptions[] = [];
  readonly sockets: TunnelSocket[] = [];
  readonly #inner: Dialer;

  constructor(inner: Dialer) {
    this.#inner = inner;
  }

  async dial(host: string, port: number, options: DialOptions = {}): Promise<TunnelSocket> {
    this.options.push(options);
    const socket = await this.#inner.dial(host, port, options);
    this.sockets.push(socket);
    return socket;
  }

  /** The stream dialled last. */
  get last(): TunnelSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error('nothing was dialled yet');
    return socket;
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  destroy(error?: Error): void {
    this.#inner.destroy(error);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A port of 127.0.0.1 on which nobody listens. */
export async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export interface Answer {
  readonly status: number | undefined;
  readonly body: string;
  readonly request: http.ClientRequest;
  readonly response: http.IncomingMessage;
}

/** Sends a request and resolves when its response has begun. */
export function begin(options: https.RequestOptions, body?: string | Buffer): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { request } = options.agent instanceof https.Agent ? https : http;
    request({ host: '127.0.0.1', ...options })
      .once('response', resolve)
      // Stays: an error may come after the response too.
      .on('error', reject)
      .end(body);
  });
}

/** Sends a request and reads the whole response. */
export async function fetchText(options: https.RequestOptions, body?: string | Buffer): Promise<Answer> {
  const response = await begin(options, body);
  // Node names the request on the response, but its types do not.
  const { req: request } = response as unknown as { req: http.ClientRequest };
  return { status: response.statusCode, body: await text(response), request, response };
}
