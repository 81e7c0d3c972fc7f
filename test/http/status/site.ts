import http from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { statusHandler, type StatusHandlerOptions } from '../../../lib/http/index.js';
import type { ObservableDialer } from '../../../lib/http/index.js';

export interface Answer {
  readonly status: number | undefined;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export interface ServerEvent {
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** A status handler behind a server of its own. */
export class Site {
  readonly handler;
  readonly server;
  readonly #agent = new http.Agent({ keepAlive: false });

  private constructor(dialer: ObservableDialer, options: StatusHandlerOptions) {
    this.handler = statusHandler(dialer, options);
    this.server = http.createServer(this.handler);
  }

  static async start(dialer: ObservableDialer, options: StatusHandlerOptions = {}): Promise<Site> {
    const site = new Site(dialer, options);
    site.server.listen(0, '127.0.0.1');
    await once(site.server, 'listening');
    return site;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  url(path = '/'): string {
    return `http://127.0.0.1:${this.port}${path}`;
  }

  /** Sends a request and resolves with the beginning of its answer. */
  open(path: string, method = 'GET', body?: string): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      http
        .request({ host: '127.0.0.1', port: this.port, path, method, agent: this.#agent })
        .once('response', resolve)
        .on('error', reject)
        .end(body);
    });
  }

  async get(path: string, method = 'GET', body?: string): Promise<Answer> {
    const response = await this.open(path, method, body);
    return { status: response.statusCode, headers: response.headers, body: await text(response) };
  }

  async events(path = '/events'): Promise<EventReader> {
    return new EventReader(await this.open(path));
  }

  async end(): Promise<void> {
    this.handler.close();
    this.#agent.destroy();
    if (!this.server.listening) return;
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }
}

/** Reads server-sent events one by one. */
export class EventReader {
  readonly response: http.IncomingMessage;
  readonly #chunks: AsyncIterator<string>;
  #rest = '';

  constructor(response: http.IncomingMessage) {
    this.response = response;
    response.on('error', () => undefined);
    this.#chunks = (response.setEncoding('utf8') as AsyncIterable<string>)[Symbol.asyncIterator]();
  }

  /** The next event; `undefined` at the end of the stream. */
  async next(): Promise<ServerEvent | undefined> {
    let end = this.#rest.indexOf('\n\n');
    while (end < 0) {
      const chunk = await this.#chunks.next();
      if (chunk.done === true) return undefined;
      this.#rest += chunk.value;
      end = this.#rest.indexOf('\n\n');
    }
    const lines = this.#rest.slice(0, end).split('\n');
    this.#rest = this.#rest.slice(end + 2);
    const field = (name: string): string =>
      lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? '';
    return { event: field('event'), data: JSON.parse(field('data')) as Record<string, unknown> };
  }

  /** The next event of this kind; those before it are dropped. */
  async until(kind: string): Promise<ServerEvent> {
    for (;;) {
      const event = await this.next();
      if (event === undefined) throw new Error(`the stream ended before ${kind}`);
      if (event.event === kind) return event;
    }
  }
}
