import { once } from 'node:events';
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Registry } from 'prom-client';
import type { TunnelDialer } from 'tunnel-dialer';
import { statusHandler } from 'tunnel-dialer/http';
import { dialerMetrics } from 'tunnel-dialer/metrics';
import type { HostAndPort } from '../command-line.js';

/** The status page of a proxy, `/healthz`, `/readyz` and `/metrics`. */
export class StatusSite {
  readonly #server: Server;
  readonly #closePage: () => void;
  #isStopping = false;

  constructor(dialer: TunnelDialer) {
    const metrics = new Registry();
    dialerMetrics(dialer, { registry: metrics });
    const page = statusHandler(dialer, { metrics });
    this.#closePage = () => page.close();
    this.#server = http.createServer((request, response) => {
      if (this.#isStopping && isReadiness(request)) sayStopping(response);
      else page(request, response);
    });
  }

  async listen({ host, port }: HostAndPort): Promise<AddressInfo> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    return this.#server.address() as AddressInfo;
  }

  /** From now on it is not ready, so that whoever asks sends work elsewhere. */
  stopping(): void {
    this.#isStopping = true;
  }

  close(): void {
    this.#closePage();
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

const isReadiness = ({ url = '' }: IncomingMessage): boolean => url.split('?', 1)[0] === '/readyz';

function sayStopping(response: ServerResponse): void {
  response.writeHead(503, { 'content-type': 'text/plain; charset=utf-8' }).end('the proxy is stopping\n');
}
