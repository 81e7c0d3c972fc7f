import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { Refusal } from './answers.js';

/** Whose requests are taken. */
export interface Accepted {
  readonly tokens: readonly string[];
  readonly anonymous: boolean;
}

/**
 * The user who asks: CN of a client certificate, or of a bearer token. A certificate that is not verified counts for nothing, but it
 * does not break the handshake either (`tls.RequestClientCert`, k8s.io/kubernetes, cmd/kubelet/app/server.go).
 *
 * @throws {@link Refusal} 401
 */
export function userOf(request: IncomingMessage, socket: Duplex, accepted: Accepted): string {
  if (socket instanceof TLSSocket && socket.authorized) {
    const { subject } = socket.getPeerCertificate() as { subject?: { CN?: string } };
    return subject?.CN ?? '';
  }
  const { authorization } = request.headers;
  const token = /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
  if (token !== undefined && accepted.tokens.some((known) => isSame(known, token))) return 'token';
  // A wrong token is not taken for none.
  if (accepted.anonymous && authorization === undefined) return 'system:anonymous';
  throw new Refusal(401, 'Unauthorized');
}

function isSame(known: string, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(known), digest(token));
}
