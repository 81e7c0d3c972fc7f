import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Duplex } from 'node:stream';

/** A request of a server of `node:http`, `node:https` or `node:http2`. */
export type ProxyRequest = IncomingMessage | Http2ServerRequest;

/** Its response. */
export type ProxyResponse = ServerResponse | Http2ServerResponse;

/** A request and its response. */
export interface Exchange {
  readonly request: ProxyRequest;
  readonly response: ProxyResponse;
}

/** A request to go on in another protocol, as a server's `upgrade` event tells it. HTTP/2 has none. */
export interface UpgradeExchange {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What the client has sent already behind the request's head. */
  readonly head: Buffer;
}
