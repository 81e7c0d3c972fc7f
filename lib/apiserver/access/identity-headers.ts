import type { IncomingHttpHeaders } from 'node:http';

/** In a list of subprotocols: what browsers, which cannot send `Authorization`, put a token in (k8s.io/apiserver, pkg/authentication/request/websocket). */
const BEARER_SUBPROTOCOL = 'base64url.bearer.authorization.k8s.io.';

/** `Authorization`, and what impersonation and authenticating proxies begin with. */
const IDENTITY = /^(authorization$|impersonate-|x-remote-)/;

/** Names as they are compared: many a server takes `_` and `-` for the same. */
const comparable = (name: string): string => name.toLowerCase().replaceAll('_', '-');

/** `Impersonate-*`: whom a caller asks to be taken for. */
export const isImpersonation = (name: string): boolean => comparable(name).startsWith('impersonate-');

/** `X-Remote-*`: whom an authenticating proxy in front says that it is; there is none in front of us. */
export const isFrontProxy = (name: string): boolean => comparable(name).startsWith('x-remote-');

/** What says who somebody is, or claims to. */
export const isIdentity = (name: string): boolean => IDENTITY.test(comparable(name));

/** Whether a bearer token in disguise is in a subprotocol, or a list of them; in any case, though the upstream takes one in lower case only. */
export const hasBearer = (subprotocols: string): boolean =>
  subprotocols.toLowerCase().includes(BEARER_SUBPROTOCOL);

/** `Authorization` as it came, or what a browser has put in its place; `undefined` for who shows no token. */
export function authorizationIn(headers: IncomingHttpHeaders): string | undefined {
  if (headers.authorization !== undefined) return headers.authorization;
  const subprotocols = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  const encoded = subprotocols
    .find((name) => name.startsWith(BEARER_SUBPROTOCOL))
    ?.slice(BEARER_SUBPROTOCOL.length);
  if (encoded === undefined) return undefined;
  const token = Buffer.from(encoded, 'base64url').toString('latin1');
  // What cannot be sent is known to nobody, and is not to be taken for no token.
  return `Bearer ${/^[\x21-\x7e]+$/.test(token) ? token : 'malformed'}`;
}

/** The headers of a request that ask the upstream for somebody else's rights, which judges that; `undefined` when there are none. */
export function impersonationIn(rawHeaders: readonly string[]): Record<string, string[]> | undefined {
  let wanted: Map<string, string[]> | undefined;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? '').toLowerCase();
    if (!name.startsWith('impersonate-')) continue;
    wanted ??= new Map();
    wanted.set(name, [...(wanted.get(name) ?? []), rawHeaders[at + 1] ?? '']);
  }
  return wanted && Object.fromEntries(wanted);
}
