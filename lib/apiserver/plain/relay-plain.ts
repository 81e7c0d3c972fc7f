import { ServerResponse } from 'node:http';
import type { Backend } from '../backend.js';
import type { Exchange } from '../exchange.js';
import { StatusError } from '../status-error.js';
import { informationFields } from './answer-head.js';
import { BackendRequest } from './backend-request.js';
import { clientAnswer } from './client-answer.js';
import { Download } from './download.js';
import { requestHead } from './request-head.js';
import { upload } from './upload.js';

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

/** Methods of kube-apiserver's proxy subresources. */
const METHODS: ReadonlySet<string | undefined> = new Set([
  'DELETE',
  'GET',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'POST',
  'PUT',
]);

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
  const { request, response } = exchange;
  if (!METHODS.has(request.method)) {
    const problem = 'the server does not allow this method on the requested resource';
    throw new StatusError(405, 'MethodNotAllowed', problem);
  }
  const [pathname = '/'] = path.split('?');
  const head = requestHead(request, {
    authority: backend.authority,
    clientAddress: options.clientAddress ?? addressOf(request.socket.remoteAddress),
    forwardedUri: rewrites ? prefix + pathname : undefined,
  });
  await turnOf(exchange);
  const client = clientAnswer(response);
  if (client.isGone) return;

  const asked = new BackendRequest({
    backend,
    method: request.method,
    path,
    head,
    send: (outgoing) => upload(request, head.framing, outgoing),
    inform: (status, rawHeaders) => client.inform(status, informationFields(rawHeaders)),
  });
  const links = rewrites ? { prefix, authority: backend.authority, requestHost: head.host } : undefined;
  const download = new Download({ client, asked, method: request.method, links });
  await new Promise<void>((resolve, reject) => {
    response.on('drain', () => download.resume());
    response.once('close', () => {
      download.giveUp();
      resolve();
    });
    asked
      .answer()
      .then((answer) => download.begin(answer))
      .catch((error: unknown) => {
        download.giveUp();
        if (client.isGone) resolve();
        else reject(error);
      });
  });
}

/** Waits until nothing is left to be answered before it on the same connection (RFC 9112 §9.3.2): only then does Node tell that a client is gone. */
async function turnOf({ request, response }: Exchange): Promise<void> {
  if (!(response instanceof ServerResponse) || response.socket !== null || request.destroyed) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('socket', done);
      request.off('close', done);
      resolve();
    };
    response.once('socket', done);
    request.once('close', done);
  });
}

/** An IPv4 address is told as such, also by a socket that listens to both. */
const addressOf = (address: string | undefined): string | undefined =>
  address?.replace(/^::ffff:(?=\d+\.)/, '');
