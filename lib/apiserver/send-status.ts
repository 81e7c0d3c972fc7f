import type { ServerResponse } from 'node:http';
import { messageOf } from '../errors.js';
import { printable } from '../printable.js';
import type { Exchange, ProxyResponse } from './exchange.js';
import { statusAnswer } from './status-answer.js';
import { StatusError } from './status-error.js';

const MAX_MESSAGE_LENGTH = 500;

/** RFC 9113 §7. */
const INTERNAL_ERROR = 2;

/** What an error is to a client. One that is no StatusError is a fault of ours, and its stack nobody's business. */
export function asStatusError(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  const message = `Internal error occurred: ${printable(messageOf(error), MAX_MESSAGE_LENGTH)}`;
  return new StatusError(500, 'InternalError', message, { cause: error });
}

/** Answers with a Status as kube-apiserver writes it. An answer that has begun breaks off instead, so that it is not taken for complete. */
export function sendStatus({ request, response }: Exchange, error: StatusError): void {
  if (response.destroyed || response.writableEnded) return;
  if (response.headersSent) {
    breakOff(response);
    return;
  }
  const { fields, body } = statusAnswer(error);
  // HTTP/2 has the same calls, with other types.
  const http1 = response as ServerResponse;
  http1.writeHead(error.code, fields);
  http1.end(request.method === 'HEAD' ? '' : body);
}

function breakOff(response: ProxyResponse): void {
  if ('stream' in response) response.stream.close(INTERNAL_ERROR);
  else response.destroy();
}
