import type { IncomingMessage } from 'node:http';
import { isIdentity } from '../access/identity-headers.js';
import type { HeadRules } from './request-head.js';

/**
 * How the head of an upgrade goes on to a kubelet, a pod or a service: without credentials, and with the client's address in `X-Forwarded-For`,
 * behind those that are there (apimachinery, pkg/util/net, `AppendForwardedForHeader`).
 */
export function nodeBound(
  request: IncomingMessage,
  path: string,
  clientAddress = request.socket.remoteAddress,
): HeadRules {
  const chain = [
    ...(request.headersDistinct['x-forwarded-for'] ?? []),
    ...(clientAddress === undefined ? [] : [clientAddress.replace(/^::ffff:(?=[\d.]+$)/, '')]),
  ];
  return {
    path,
    withheld: (name) => name === 'x-forwarded-for' || isIdentity(name),
    added: chain.length === 0 ? [] : [['X-Forwarded-For', chain.join(', ')]],
  };
}
