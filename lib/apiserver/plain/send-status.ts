import { ServerResponse } from 'node:http';
import type { Exchange } from '../exchange.js';
import type { StatusError } from '../status-error.js';

/** Answers with a Status, as kube-apiserver does. Where an answer has begun already, it is cut off. */
export function sendStatus({ request, response }: Exchange, error: StatusError): void {
  if (response.headersSent) {
    if (response instanceof ServerResponse) response.destroy();
    else response.stream.destroy();
    return;
  }
  const body = `${JSON.stringify(error)}\n`;
  const headers = {
    'Cache-Control': 'no-cache, private',
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(body),
  };
  if (response instanceof ServerResponse) response.writeHead(error.code, headers);
  else response.writeHead(error.code, headers);
  response.end(request.method === 'HEAD' ? '' : body);
}
