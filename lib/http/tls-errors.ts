import type { TLSSocket } from 'node:tls';
import { formatEndpoint, TunnelError } from '../errors.js';
import type { PendingSocket } from './pending-socket.js';

/** What OpenSSL says of an answer that is no TLS. */
const NO_TLS = /wrong version number|packet length too long|http request/i;

/** What Node calls a certificate that OpenSSL refuses (X509 certificate error codes, in the documentation of `node:tls`). */
const REFUSED_CERTIFICATE =
  /^(CERT|CRL|ERROR_IN|INVALID|OUT_OF|PATH_LENGTH|UNABLE_TO)_|SELF_SIGNED_CERT|^HOSTNAME_MISMATCH$/;

/**
 * Has the errors of TLS say where they come from, which Node's own do not: it is added to `message`, and the node as `node`. They stay the
 * same objects, with the same class, `code` and fields, by which clients know them. Called once the endpoint was reached.
 */
export function nameEndpoint(
  socket: TLSSocket,
  { node, remoteAddress: host = '', remotePort: port = 0 }: PendingSocket,
): void {
  const destroy = socket._destroy.bind(socket);
  // An 'error' listener would come too late, and keep errors that nobody listens to from being thrown.
  socket._destroy = (error, callback) => {
    if (error !== null && !Object.isFrozen(error) && isOfTls(error, socket)) {
      const { message, stack } = error;
      const text = `${message.trimEnd()} (${String(node)}, ${formatEndpoint(host, port)})${advice(message, port)}`;
      Object.assign(error, { message: text, stack: stack?.replace(message, () => text), node });
    }
    destroy(error, callback);
  };
}

function isOfTls(error: NodeJS.ErrnoException, socket: TLSSocket): boolean {
  const { code = '' } = error;
  if (error instanceof TunnelError) return false;
  if (code === 'EPROTO' || /^ERR_(SSL|TLS)_/.test(code)) return true;
  // Not what a caller's own `checkServerIdentity` has given.
  if ((socket.authorizationError as unknown) === code && REFUSED_CERTIFICATE.test(code)) return true;
  return code === 'ECONNRESET' && (socket as { secureConnecting?: boolean }).secureConnecting === true;
}

function advice(message: string, port: number): string {
  if (!NO_TLS.test(message)) return '';
  const guess = port === 22 ? ', and 22 is the port of sshd' : '';
  return `: what listens there does not speak TLS${guess}; is it the right port?`;
}
