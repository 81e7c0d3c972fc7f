import { TunnelError, type ErrorContext } from '../errors.js';

/**
 * A stream that undici had in use was lost with its tunnel; `cause` says why. `code` is undici's own for a lost socket,
 * `UND_ERR_SOCKET`: its `RetryAgent` tries again, and requests that were not sent yet go over a new stream. Of an `ECONNRESET` undici
 * makes the clean end of a response whose length nobody had announced.
 */
export class UndiciSocketError extends Error {
  readonly code = 'UND_ERR_SOCKET';
  declare readonly cause: Error;

  constructor(cause: Error) {
    super(cause.message, { cause });
    this.name = new.target.name;
  }
}

/**
 * The endpoint was reached but did not complete the TLS handshake in time. `code` is `ETIMEDOUT`.
 *
 * Every other failure of TLS is Node's own error with Node's own code, such as `ERR_TLS_CERT_ALTNAME_INVALID`; its message tells the node
 * and the endpoint besides.
 */
export class TlsHandshakeTimeoutError extends TunnelError {
  declare readonly code: 'ETIMEDOUT';

  constructor(message: string, context?: ErrorContext) {
    super('ETIMEDOUT', message, context);
  }
}
