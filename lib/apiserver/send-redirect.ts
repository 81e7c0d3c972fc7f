import type { ServerResponse } from 'node:http';
import type { ProxyResponse } from './exchange.js';

/** Sends a client to another path for good. */
export function sendRedirect(response: ProxyResponse, location: string): void {
  (response as ServerResponse).writeHead(301, { location, 'content-length': 0 }).end();
}
