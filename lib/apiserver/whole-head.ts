import type { Server } from 'node:http';
import type { ProxyRequest } from './exchange.js';
import { StatusError } from './status-error.js';

/** How many fields of a head Node keeps unless `maxHeadersCount` of the server says otherwise. */
const DEFAULT_MAX_FIELDS = 1000;

/**
 * Refuses a request of whose head Node may have kept a part only: it drops fields above a number without a word, and whose rights a request
 * is made with may be told in the last of them. A gateway that writes `Impersonate-User` behind what its clients send would else be taken
 * for one that does not. HTTP/2 refuses such a head itself.
 *
 * @throws {@link StatusError} 431
 */
export function checkHeadIsWhole(request: ProxyRequest): void {
  if (request.httpVersionMajor > 1) return;
  const { server } = request.socket as { readonly server?: Pick<Server, 'maxHeadersCount'> };
  const max = server?.maxHeadersCount ?? DEFAULT_MAX_FIELDS;
  // 0 is no limit. One that has been reached may have been passed.
  if (max <= 0 || request.rawHeaders.length < 2 * max) return;
  throw new StatusError(431, '', `the head of the request has more fields than the ${max} that are read`);
}
