import type { ServerResponse } from 'node:http';
import { messageOf } from '../errors.js';
import type { ProxyResponse } from './exchange.js';
import { StatusError } from './status-error.js';

/** What an error is to a client. One that is no StatusError is a fault of ours, and its stack nobody's business. */
export function asStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  return new StatusError(500, 'InternalError', `Internal error occurred: ${messageOf(error)}`, {
    cause: error,
  });
}

/** Refuses a request. Once the answer has begun there is only one way to say that it went wrong: it breaks off. */
export function sendStatus(response: ProxyResponse, error: StatusError): void {
  if (response.destroyed || response.writableEnded) return;
  if (response.headersSent) {
    breakOff(response);
    return;
  }
  const body = Buffer.from(JSON.stringify(error));
  // HTTP/2 has no phrase beside the number, and its type of a response no call that both have.
  const http1 = response as ServerResponse;
  http1.writeHead(error.code, {
    'content-type': 'application/json',
    'content-length': body.length,
    'cache-control': 'no-cache, private',
    'x-content-type-options': 'nosniff',
  });
  http1.end(body);
}

/** Ends an answer so that it cannot be taken for complete. */
export function breakOff(response: ProxyResponse): void {
  if ('stream' in response) response.stream.close(INTERNAL_ERROR);
  else response.destroy();
}

/** RFC 9113 §7. */
const INTERNAL_ERROR = 2;
