import { ServerResponse, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

/** How long a client may take to end its side once it was refused. */
const LINGER_MS = 5000;

/** A request that is answered with an error: thrown wherever that is found out. */
export class Refusal extends Error {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;

  constructor(
    status: number,
    text: string,
    headers: Readonly<Record<string, string | readonly string[]>> = {},
  ) {
    super(text);
    this.status = status;
    this.headers = headers;
  }
}

export function answerText(response: ServerResponse, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(200, { 'content-type': type }).end(text);
}

export function answerJson(response: ServerResponse, value: unknown): void {
  answerText(response, `${JSON.stringify(value)}\n`, 'application/json');
}

/** Answers as Go's `http.Error` does, which is what a kubelet uses; a refusal without words has an empty body. */
export function refuse(response: ServerResponse, { status, message, headers }: Refusal): void {
  // Set one by one: a list then makes a line of each of its members.
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (message === '') {
    response.writeHead(status).end();
    return;
  }
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.setHeader('x-content-type-options', 'nosniff');
  response.writeHead(status).end(`${message}\n`);
}

/** The response to a request that asked for another protocol, which Node hands out without one. */
export function responseOn(socket: Socket, request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once('finish', () => {
    socket.end();
    socket.setTimeout(LINGER_MS, () => socket.destroy());
  });
  // What the client goes on sending would keep its FIN from being seen.
  socket.resume();
  return response;
}
