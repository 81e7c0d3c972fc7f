import type { Duplex } from 'node:stream';
import { listenForAbort } from '../../abortable-signal.js';

/** The client has ended or gone before it was answered: there is nobody to tell. */
export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError';

  constructor() {
    super('the client has gone');
  }
}

/** What gives up the attempt to upgrade: the caller's signal, a client that goes, or an answer that does not come. */
export class Attempt implements Disposable {
  readonly #controller = new AbortController();
  readonly #client: Duplex;
  readonly #callers: AbortSignal | undefined;
  readonly #onGone = (): void => this.abort(new ClientGoneError());
  readonly #onAbort = (): void => this.abort(this.#callers?.reason);

  constructor(client: Duplex, callers: AbortSignal | undefined) {
    this.#client = client;
    this.#callers = callers;
    client.once('end', this.#onGone).once('close', this.#onGone);
    if (client.destroyed) this.#onGone();
    if (callers === undefined) return;
    listenForAbort(callers, this.#onAbort);
    if (callers.aborted) this.#onAbort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  [Symbol.dispose](): void {
    this.#client.off('end', this.#onGone).off('close', this.#onGone);
    this.#callers?.removeEventListener('abort', this.#onAbort);
  }
}
