import { TunnelError, type ErrorContext } from '../errors.js';

/**
 * The endpoint was reached but did not complete the TLS handshake in time. `code` is `ETIMEDOUT`.
 *
 * Every other failure of TLS is Node's own error with Node's own code, such as
 * `ERR_TLS_CERT_ALTNAME_INVALID`.
 */
export class TlsHandshakeTimeoutError extends TunnelError {
  declare readonly code: 'ETIMEDOUT';

  constructor(message: string, context?: ErrorContext) {
    super('ETIMEDOUT', message, context);
  }
}
