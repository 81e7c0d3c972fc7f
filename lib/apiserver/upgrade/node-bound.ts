import type { IncomingMessage } from 'node:http';
import { isIdentity } from '../access/identity-headers.js';
import { forwardedFor } from '../client-address.js';
import type { HeadRules } from './request-head.js';

/** How the head of an upgrade goes on to a kubelet, a pod or a service: without credentials, and with the client's address. */
export function nodeBound(request: IncomingMessage, path: string, clientAddress?: string): HeadRules {
  return {
    path,
    withheld: (name) => name === 'x-forwarded-for' || isIdentity(name),
    added: forwardedFor(request, clientAddress),
  };
}
