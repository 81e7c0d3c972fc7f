import { once } from 'node:events';
import { request as requestHttp, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Readable } from 'node:stream';
import { messageOf } from '../errors.js';
import { printable } from '../printable.js';
import type { Credentials } from './cluster-access.js';

/** The API answered, but not what was asked for. */
export class ApiError extends Error {
  /** Of HTTP, or of the Status that came in an event. */
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
  }

  /** What was asked for is no longer known to the API: 410 Gone. A list says how things are now. */
  get isGone(): boolean {
    return this.status === 410;
  }
}

/** What an API server says when something went wrong (meta/v1, Status). */
export interface Status {
  readonly code?: number;
  readonly message?: string;
}

type Query = Readonly<Record<string, string | undefined>>;

/** More than any API server puts in a page of nodes: a Node takes some 20 KB, of which 250 are asked for. */
const MAX_BODY_LENGTH = 64 * 2 ** 20;
/** A Status takes some hundred bytes; what a proxy says in its place is not shown. */
const MAX_REFUSAL_LENGTH = 64 * 2 ** 10;
const MAX_SHOWN = 300;

/**
 * Asks the API for something.
 *
 * @returns its answer, whose body is text and has yet to be read
 * @throws {@link ApiError} if the status is not 200; the signal's reason; an error of the network
 */
export async function getFromApi(
  credentials: Credentials,
  query: Query,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const response = await send(credentials, query, signal);
  if (response.statusCode === 200) return response;
  throw await refusalIn(response, signal);
}

async function send(
  { server, options }: Credentials,
  query: Query,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const url = new URL(`${server}/api/v1/nodes`);
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined) url.searchParams.set(key, value);
  }
  const ask = url.protocol === 'http:' ? requestHttp : requestHttps;
  const headers = { ...(options.headers as Record<string, string>), accept: 'application/json' };
  try {
    const request = ask(url, { ...options, headers, signal });
    // What happens later happens to the answer, too.
    request.on('error', () => undefined);
    request.end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return response.setEncoding('utf8');
  } catch (error) {
    throw reasonOf(error, signal, `cannot ask the API at ${url.host}`);
  }
}

/** The whole body of an answer. */
export async function textOf(
  response: Readable,
  signal: AbortSignal,
  maxLength = MAX_BODY_LENGTH,
): Promise<string> {
  const parts: string[] = [];
  let length = 0;
  try {
    for await (const part of response as AsyncIterable<string>) {
      length += part.length;
      if (length > maxLength) throw new Error(`it is longer than ${maxLength} characters`);
      parts.push(part);
    }
  } catch (error) {
    throw reasonOf(error, signal, 'the answer of the API broke off');
  }
  return parts.join('');
}

/** Why something failed: the signal's reason, because what it aborts says only that it was aborted, else what Node says. */
export function reasonOf(error: unknown, signal: AbortSignal, problem: string): unknown {
  if (signal.aborted) return signal.reason;
  return new Error(`${problem}: ${messageOf(error)}`, { cause: error });
}

/** The error that a Status stands for. */
export function errorOfStatus(code: number, { message }: Status): ApiError {
  const said = typeof message === 'string' ? `: ${printable(message, MAX_SHOWN)}` : '';
  return new ApiError(code, `the API answers ${code}${said}`);
}

/** Whatever its body is, the status is told. */
async function refusalIn(response: IncomingMessage, signal: AbortSignal): Promise<ApiError> {
  const code = response.statusCode ?? 0;
  try {
    const body = await textOf(response, signal, MAX_REFUSAL_LENGTH);
    return errorOfStatus(code, (JSON.parse(body) ?? {}) as Status);
  } catch {
    signal.throwIfAborted();
    return errorOfStatus(code, {});
  }
}
