import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Caller } from './access.js';
import type { ProxyRequest, ProxyResponse } from './exchange.js';
import type { Task } from './node-bound.js';
import type { Route } from './routes.js';
import { splitUrl } from './split-url.js';

/** What a client is answered with: all of an answer, or the bytes of an upgrade. */
export type ClientEnd = ProxyResponse | Duplex;

/** A task as long as its client is there. Its signal is made when somebody asks for it: most requests wait for nothing that could be given up. */
export class ClientTask implements Task {
  readonly route: Route;
  readonly caller: Caller;
  readonly method: string;
  readonly search: string;
  readonly onAnswer: (status: number) => void;
  readonly #client: ClientEnd;
  #gone: AbortController | undefined;
  #reason: Error | undefined;

  constructor(
    request: ProxyRequest | IncomingMessage,
    client: ClientEnd,
    { route, caller, onAnswer }: Pick<Task, 'route' | 'caller' | 'onAnswer'>,
  ) {
    this.route = route;
    this.caller = caller;
    this.onAnswer = onAnswer;
    this.method = request.method ?? '';
    this.search = splitUrl(request.url).search;
    this.#client = client;
    client.once('close', this.#onClose);
    if (client.destroyed) this.#onClose();
  }

  get query(): URLSearchParams {
    return new URLSearchParams(this.search);
  }

  get signal(): AbortSignal {
    if (this.#gone === undefined) {
      this.#gone = new AbortController();
      if (this.#reason !== undefined) this.#gone.abort(this.#reason);
    }
    return this.#gone.signal;
  }

  /** @throws when the client has gone */
  throwIfGone(): void {
    if (this.#reason !== undefined) throw this.#reason;
  }

  /** Takes no more notice of the client. */
  end(): void {
    this.#client.off('close', this.#onClose);
  }

  readonly #onClose = (): void => {
    // One that has all of its answer gives nothing up.
    if ('statusCode' in this.#client && this.#client.writableFinished) return;
    this.#reason = new Error('the client has gone');
    this.#gone?.abort(this.#reason);
  };
}
