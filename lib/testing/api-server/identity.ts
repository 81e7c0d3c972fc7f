import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Rules, User } from './rules.js';
import { ApiRefusal } from './status.js';

/** A user with a bearer token. */
export interface KnownUser extends User {
  readonly token: string;
}

const AUTHENTICATED = 'system:authenticated';
const ANONYMOUS: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };
const BEARER_PROTOCOL = 'base64url.bearer.authorization.k8s.io.';

/**
 * The user of a client certificate, else of a bearer token, else nobody in particular; the certificate counts more, as with kube-apiserver.
 *
 * @throws {@link ApiRefusal} 401 for a token that is not known
 */
export function userOf({ headers }: IncomingMessage, socket: Duplex, known: readonly KnownUser[]): User {
  const shown = certificateUser(socket);
  if (shown !== undefined) return shown;
  const token = tokenIn(headers);
  if (token === undefined) return ANONYMOUS;
  const user = known.find((each) => isSame(each.token, token));
  if (user === undefined) throw new ApiRefusal(401, 'Unauthorized', 'Unauthorized');
  return { name: user.name, groups: [...user.groups, AUTHENTICATED] };
}

function certificateUser(socket: Duplex): User | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const { subject } = socket.getPeerCertificate() as { subject?: { CN?: string; O?: string | string[] } };
  if (subject === undefined) return undefined;
  return { name: subject.CN ?? '', groups: [...[subject.O ?? []].flat(), AUTHENTICATED] };
}

/** From `Authorization`, or from the protocols of a WebSocket, for browsers (k8s.io/apiserver, pkg/authentication/request/websocket). */
function tokenIn(headers: IncomingHttpHeaders): string | undefined {
  const { authorization } = headers;
  if (authorization !== undefined) return /^bearer +(\S+)$/i.exec(authorization)?.[1] ?? '';
  const protocol = protocolsIn(headers).find((each) => each.startsWith(BEARER_PROTOCOL));
  return protocol && Buffer.from(protocol.slice(BEARER_PROTOCOL.length), 'base64url').toString();
}

const protocolsIn = (headers: IncomingHttpHeaders): readonly string[] =>
  (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());

/** Headers that may be kept and shown. */
export function withoutSecrets(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const kept = { ...headers };
  delete kept.authorization;
  delete kept.cookie;
  if (kept['sec-websocket-protocol'] !== undefined) {
    const harmless = protocolsIn(headers).filter((protocol) => !protocol.startsWith(BEARER_PROTOCOL));
    kept['sec-websocket-protocol'] = harmless.join(', ');
  }
  return kept;
}

/**
 * Whom a user wants to be taken for by `Impersonate-*` (k8s.io/apiserver, pkg/endpoints/filters/impersonation).
 *
 * @throws {@link ApiRefusal} 403 when they may not, 500 when they do not say for whom
 */
export function impersonated(user: User, request: IncomingMessage, rules: Rules): User {
  const { headersDistinct } = request;
  const [name] = headersDistinct['impersonate-user'] ?? [];
  const groups = headersDistinct['impersonate-group'] ?? [];
  const extras = Object.keys(headersDistinct).filter((header) => header.startsWith('impersonate-extra-'));
  const hasUid = headersDistinct['impersonate-uid'] !== undefined;
  if (name === undefined || name === '') {
    if (groups.length === 0 && extras.length === 0 && !hasUid) return user;
    throw new ApiRefusal(
      500,
      'InternalError',
      'Internal error occurred: requested groups without impersonating a user',
    );
  }
  const check = (resource: string, wanted?: string, namespace?: string): void =>
    rules.check(user, {
      kind: 'resource',
      verb: 'impersonate',
      group: '',
      version: 'v1',
      namespace,
      resource,
      name: wanted,
      subresource: undefined,
      rest: [],
    });
  const account = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name);
  if (account === null) check('users', name);
  else check('serviceaccounts', account[2], account[1]);
  for (const group of groups) check('groups', group);
  for (const extra of extras) check('userextras', extra.slice('impersonate-extra-'.length));
  if (hasUid) check('uids', headersDistinct['impersonate-uid']?.[0]);
  if (groups.includes(AUTHENTICATED) || name === ANONYMOUS.name) return { name, groups };
  return { name, groups: [...groups, AUTHENTICATED] };
}

function isSame(known: string, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(known), digest(token));
}
