import type { Backend } from '../backend.js';
import { addressOf } from '../client-address.js';
import type { Exchange } from '../exchange.js';
import { splitUrl } from '../split-url.js';
import { carryPlain } from './carry-plain.js';
import { requestHead } from './request-head.js';

export interface PlainRelay {
  readonly exchange: Exchange;
  readonly backend: Backend;
  /** Path and query at the backend, escaped; see `joinPath`. */
  readonly path: string;
  /** What goes before the backend's paths for the client, escaped, without a slash at its end: `/api/v1/nodes/n/proxy`. */
  readonly prefix: string;
  /** For `X-Forwarded-For`. Default: where the connection of the request comes from. */
  readonly clientAddress?: string | undefined;
  /**
   * Whether the backend is behind `prefix`: links and redirects are changed so that they lead there, the backend is told of it as
   * `X-Forwarded-Uri`, and cannot open itself to other origins (`Access-Control-Allow-*`).
   */
  readonly rewrites: boolean;
}

/**
 * Sends a plain request to a backend and its answer to the client, both as they come. It waits as long as they do, and holds no more than
 * a few buffers. Resolves when the exchange is over: when the client has the answer, is gone, or was cut off because the backend broke off.
 *
 * The request is written anew for the backend: without credentials (`Authorization`, `Impersonate-*`, `X-Remote-*`), without what
 * belongs to the client's connection, and only if it can be read in one way.
 *
 * @throws StatusError before anything was answered: 400 for a request that is malformed, 405 for a method that is not relayed, 501 for a
 * transfer coding other than `chunked`, 503 when the backend has no answer, 500 when it redirects to what is no URL
 */
export async function relayPlain(options: PlainRelay): Promise<void> {
  const { exchange, backend, path, prefix, rewrites } = options;
  const { request } = exchange;
  const head = requestHead(request, {
    authority: backend.authority,
    clientAddress: options.clientAddress ?? addressOf(request.socket.remoteAddress),
    forwardedUri: rewrites ? prefix + splitUrl(path).path : undefined,
  });
  const links = rewrites ? { prefix, authority: backend.authority, requestHost: head.host } : undefined;
  await carryPlain({ exchange, backend, path, head, links });
}
