import type { IncomingMessage } from 'node:http';
import { textOf } from '../../kubernetes/api-request.js';
import { StatusError } from '../status-error.js';
import { refusalOf } from './failure.js';
import { identityOf, type Asker } from './question.js';

/**
 * More than the endpoints of any service take. `JSON.parse` lets nothing else run: 16 MiB of nothing but `{},` take it a second and more.
 */
const MAX_JSON_LENGTH = 16 * 2 ** 20;
/** A Status takes some hundred bytes. */
const MAX_REFUSAL_LENGTH = 64 * 2 ** 10;

interface Reading {
  readonly maxBytes?: number | undefined;
  readonly as: Asker;
}

/**
 * What an answer says.
 *
 * @throws {@link StatusError} what the upstream refuses with; 503 for what is no answer of one
 */
export async function readJson(
  response: IncomingMessage,
  { maxBytes = MAX_JSON_LENGTH, as }: Reading,
  signal: AbortSignal,
): Promise<unknown> {
  const code = response.statusCode ?? 0;
  const isGood = code >= 200 && code < 300;
  const body = await textOf(
    response.setEncoding('utf8'),
    signal,
    isGood ? maxBytes : MAX_REFUSAL_LENGTH,
  ).catch((error: unknown) => {
    if (isGood || signal.aborted) throw error;
    return '';
  });
  if (!isGood) throw refusalFor(as, refusalOf(code, body));
  try {
    return JSON.parse(body);
  } catch {
    // What a parser says would quote the answer.
    throw new StatusError(503, 'ServiceUnavailable', 'the answer of the API server is not JSON');
  }
}

/** Who asks the proxy has done nothing wrong when the proxy is not known. */
function refusalFor(as: Asker, refusal: StatusError): StatusError {
  if (refusal.code !== 401 || identityOf(as) === 'nobody') return refusal;
  const problem =
    'the API server does not know the proxy: check its token or client certificate, and whether it has expired';
  return new StatusError(503, 'ServiceUnavailable', problem, { cause: refusal });
}
