/**
 * What goes wrong with a session or a stream of SPDY.
 *
 * | code | when |
 * |---|---|
 * | `ERR_SPDY_PROTOCOL` | the peer sent what SPDY/3.1 does not know, or more than is taken; the session is over |
 * | `ERR_SPDY_REFUSED` | the peer does not take the stream, or no more streams |
 * | `ECONNRESET` | the peer gave the stream up, or the connection was lost |
 * | `EPIPE` | written to a stream that the peer has given up |
 * | `ERR_SPDY_CLOSED` | closed by us |
 */
export type SpdyErrorCode =
  'ERR_SPDY_PROTOCOL' | 'ERR_SPDY_REFUSED' | 'ERR_SPDY_CLOSED' | 'ECONNRESET' | 'EPIPE';

/** A session or a stream of SPDY failed. */
export class SpdyError extends Error {
  override readonly name = 'SpdyError';
  readonly code: SpdyErrorCode;

  constructor(code: SpdyErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

export const protocolError = (problem: string, cause?: unknown): SpdyError =>
  new SpdyError('ERR_SPDY_PROTOCOL', `the peer broke the rules of SPDY/3.1: ${problem}`, cause);
