import type { IncomingMessage, ServerResponse } from 'node:http';
import { spelledOut } from '../../printable.js';
import { describeValue } from '../../validation.js';
import { answer, begin } from './answer.js';
import { EventStream } from './event-stream.js';
import type { ObservableDialer } from './observed.js';
import {
  checkObservable,
  checkStatusOptions,
  type CheckedStatusOptions,
  type StatusHandlerOptions,
} from './options.js';
import { page, pageSecurityPolicy } from './page/page.js';
import { toPrintableJson } from './printable-json.js';
import { reasonsAgainst } from './readiness.js';
import { ServedHosts } from './served-hosts.js';

/** A listener for the `request` event of a `node:http` server. */
export interface StatusHandler {
  (request: IncomingMessage, response: ServerResponse): void;
  /** Ends the streams of events, for which the server's `close()` would wait. All else is answered as before. */
  close(): void;
}

/**
 * A request listener that shows how a dialer fares: `/` as a page that keeps itself up to date, `/statusz` as JSON, `/healthz` and
 * `/readyz` for load balancers and kubelets, `/metrics` for Prometheus.
 *
 * It tells names, addresses and failures of nodes to whoever asks, and no secrets. Asking for a password is the server's business. That
 * no page of somebody else's asks in the name of whoever looks at it, the option `hosts` sees to.
 *
 * @example
 * ```ts
 * const status = statusHandler(dialer, { metrics: registry });
 * const server = http.createServer(status).listen(9090, '127.0.0.1');
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`; the listener itself never throws
 */
export function statusHandler(dialer: ObservableDialer, options: StatusHandlerOptions = {}): StatusHandler {
  checkObservable(dialer);
  const site = new StatusSite(dialer, checkStatusOptions(options));
  const handler = (request: IncomingMessage, response: ServerResponse): void => site.serve(request, response);
  return Object.assign(handler, { close: () => site.close() });
}

type Responder = (response: ServerResponse, request: IncomingMessage) => void | Promise<void>;

class StatusSite {
  readonly #dialer: ObservableDialer;
  readonly #options: CheckedStatusOptions;
  readonly #events: EventStream;
  readonly #paths: ReadonlyMap<string, Responder>;
  readonly #hosts: ServedHosts;

  constructor(dialer: ObservableDialer, options: CheckedStatusOptions) {
    this.#dialer = dialer;
    this.#options = options;
    this.#hosts = new ServedHosts(options.hosts);
    this.#events = new EventStream({ ...options, dialer, onError: (error) => this.#report(error) });
    const paths: Record<string, Responder> = {
      '': this.#unlessStrange((response) => this.#page(response)),
      '/': this.#unlessStrange((response) => this.#page(response)),
      '/healthz': (response) => this.#health(response),
      '/readyz': (response) => this.#readiness(response),
      '/statusz': this.#unlessStrange((response) => this.#status(response)),
      '/metrics': (response) => this.#metrics(response),
      '/events': this.#unlessStrange((response, request) => this.#stream(response, request)),
    };
    this.#paths = new Map(Object.entries(paths));
  }

  close(): void {
    this.#events.close();
  }

  serve(request: IncomingMessage, response: ServerResponse): void {
    void this.#route(request, response).catch((error: unknown) => this.#fail(response, error));
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { prefix } = this.#options;
    const path = pathOf(request.url ?? '');
    const respond = path.startsWith(prefix) ? this.#paths.get(path.slice(prefix.length)) : undefined;
    if (respond === undefined) {
      const known = [...this.#paths.keys()].filter(Boolean).map((known) => prefix + known);
      answer(response, 404, `there is nothing here; try ${known.join(', ')}\n`);
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      answer(response, 405, 'only GET and HEAD are answered\n', { Allow: 'GET, HEAD' });
    } else await respond(response, request);
  }

  /** Probes and Prometheus come by any name, and are told little; what is told of every node is for those who know ours. */
  #unlessStrange(respond: Responder): Responder {
    return (response, request) => {
      const name = this.#hosts.strangeNameIn(request);
      if (name === undefined) return respond(response, request);
      const advice = 'list it in the option hosts of statusHandler, or ask by an IP address';
      answer(response, 403, `this is not served to requests for ${describeValue(name)}: ${advice}\n`);
    };
  }

  #page(response: ServerResponse): void {
    answer(response, 200, page, {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': pageSecurityPolicy,
    });
  }

  #health(response: ServerResponse): void {
    const { state } = this.#dialer.status();
    if (state === 'open') answer(response, 200, 'ok\n');
    else answer(response, 503, `the dialer is ${state}\n`);
  }

  #readiness(response: ServerResponse): void {
    const reasons = reasonsAgainst(this.#dialer.status(), this.#options.staleAfterMs);
    if (reasons.length === 0) answer(response, 200, 'ok\n');
    else answer(response, 503, reasons.map((reason) => `${spelledOut(reason)}\n`).join(''));
  }

  #status(response: ServerResponse): void {
    const json = toPrintableJson({ at: new Date(), ...this.#dialer.status() }, 2);
    answer(response, 200, `${json}\n`, { 'Content-Type': 'application/json; charset=utf-8' });
  }

  async #metrics(response: ServerResponse): Promise<void> {
    const { metrics } = this.#options;
    if (metrics === undefined) {
      answer(response, 404, 'there are no metrics; pass a prom-client Registry as the option metrics\n');
      return;
    }
    answer(response, 200, await metrics.metrics(), { 'Content-Type': metrics.contentType });
  }

  #stream(response: ServerResponse, { method }: IncomingMessage): void {
    const { refusal } = this.#events;
    if (refusal !== undefined) {
      answer(response, 503, `${refusal}\n`, { 'Retry-After': '5' });
      return;
    }
    // nginx would gather events into blocks.
    begin(response, 200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' });
    if (method === 'HEAD') response.end();
    else this.#events.add(response);
  }

  /** The answer does not show the error, which may be of somebody else's making and hold anything. */
  #fail(response: ServerResponse, error: unknown): void {
    this.#report(error);
    try {
      if (response.headersSent) response.destroy();
      else answer(response, 500, 'this failed; the option onError is told why\n');
    } catch (failure) {
      this.#report(failure);
      response.destroy();
    }
  }

  #report(error: unknown): void {
    try {
      this.#options.onError?.(error);
    } catch {
      // There is nobody left to tell.
    }
  }
}

/** The path of a request's target in origin or absolute form (RFC 9112 §3.2), without its query. */
function pathOf(target: string): string {
  return /^(?:[a-z][a-z\d+.-]*:\/\/[^/?#]*)?([^?#]*)/i.exec(target)?.[1] ?? '';
}
