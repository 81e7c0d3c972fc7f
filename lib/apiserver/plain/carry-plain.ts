import { ServerResponse } from 'node:http';
import type { Backend } from '../backend.js';
import type { Exchange } from '../exchange.js';
import { StatusError } from '../status-error.js';
import { turnOf } from '../turn-of.js';
import { informationFields } from './answer-head.js';
import { BackendRequest } from './backend-request.js';
import { clientAnswer } from './client-answer.js';
import { Download } from './download.js';
import type { LinkRules } from './links.js';
import type { RequestHead } from './request-head.js';
import { upload } from './upload.js';

/** A plain request on its way, whoever it is for. */
export interface PlainCarriage {
  readonly exchange: Exchange;
  readonly backend: Backend;
  /** Path and query at the backend, escaped. */
  readonly path: string;
  readonly head: RequestHead;
  /** How links in the answer are changed; `undefined`: not at all. */
  readonly links?: LinkRules | undefined;
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
 * Sends a request to a backend with the head that was made for it, and the answer to the client. Resolves when the exchange is over.
 *
 * @throws {@link StatusError} before anything was answered
 */
export async function carryPlain({ exchange, backend, path, head, links }: PlainCarriage): Promise<void> {
  const { request, response } = exchange;
  if (!METHODS.has(request.method)) {
    const problem = 'the server does not allow this method on the requested resource';
    throw new StatusError(405, 'MethodNotAllowed', problem);
  }
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
  const download = new Download({ client, asked, method: request.method, links });
  await new Promise<void>((resolve, reject) => {
    response.on('drain', () => download.resume());
    const onGone = (): void => {
      download.giveUp();
      resolve();
    };
    response.once('close', onGone);
    // A stream of HTTP/2 that is reset while it is being uploaded closes only when somebody reads on.
    if (!(response instanceof ServerResponse)) response.stream.once('aborted', onGone);
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
