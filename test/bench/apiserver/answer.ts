import type { ServerResponse } from 'node:http';

const BODY = Buffer.alloc(256, 'tunnel');

/** What the pod answers. */
export function answer(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': BODY.length }).end(BODY);
}
