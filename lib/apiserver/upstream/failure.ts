import { messageOf } from '../../errors.js';
import { printable } from '../../printable.js';
import { StatusError, type StatusReason } from '../status-error.js';

/** What the message of a Status may take. */
const MAX_MESSAGE = 1000;

/** The reasons that go on; another one tells a client nothing. */
const REASONS: ReadonlySet<string> = new Set<StatusReason>([
  'BadRequest',
  'Unauthorized',
  'Forbidden',
  'NotFound',
  'MethodNotAllowed',
  'Invalid',
  'InternalError',
  'ServiceUnavailable',
  'Timeout',
  'TooManyRequests',
]);

/** What a failure to reach the upstream is to whoever asked. The cause has Node's own error. */
export function unreachable(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  const said = printable(messageOf(error), MAX_MESSAGE);
  return new StatusError(503, 'ServiceUnavailable', `error trying to reach the API server: ${said}`, {
    cause: error,
  });
}

/** The upstream did not answer in time. */
export function tooLate(timeoutMs: number): StatusError {
  return new StatusError(504, 'Timeout', `the API server did not answer within ${timeoutMs} ms`);
}

/** The refusal in an answer of the upstream, with what its Status says, if it is one. */
export function refusalOf(code: number, body: string): StatusError {
  const { message, reason, details } = statusIn(body);
  if (code < 400 || code > 599) {
    const problem = `the API server answers ${code}, which is no answer of one: check the URL of the upstream`;
    return new StatusError(503, 'ServiceUnavailable', problem);
  }
  const said =
    typeof message === 'string' ? printable(message, MAX_MESSAGE) : `the API server answers ${code}`;
  const why = typeof reason === 'string' && REASONS.has(reason) ? (reason as StatusReason) : '';
  const { retryAfterSeconds } = (details ?? {}) as { readonly retryAfterSeconds?: unknown };
  const mayRetry = isSeconds(retryAfterSeconds) && retryAfterSeconds > 0;
  return new StatusError(code, why, said, mayRetry ? { details: { retryAfterSeconds } } : {});
}

const isSeconds = (value: unknown): value is number => Number.isSafeInteger(value);

interface GivenStatus {
  readonly message?: unknown;
  readonly reason?: unknown;
  readonly details?: unknown;
}

function statusIn(body: string): GivenStatus {
  try {
    const status: unknown = JSON.parse(body);
    return typeof status === 'object' && status !== null ? status : {};
  } catch {
    return {};
  }
}
