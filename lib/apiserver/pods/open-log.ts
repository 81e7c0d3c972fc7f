import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { messageOf } from '../../errors.js';
import { answerTo } from '../answer-to.js';
import type { Backend } from '../backend.js';
import { StatusError, type StatusReason } from '../status-error.js';

/** What is read at most of what a kubelet says when it refuses (apiserver, pkg/registry/generic/rest, `response_checker.go`). */
const MAX_REFUSAL_BYTES = 50_000;

/** Of refusals that need no words of ours (apimachinery, pkg/api/errors, `NewGenericServerResponse`). */
const REASONS: Readonly<Record<number, StatusReason>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  422: 'Invalid',
  429: 'TooManyRequests',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

/** A kept connection may turn out to be dead before the request; as many times another one is taken. */
const MAX_DEAD = 16;

/**
 * Asks a kubelet for a log, and resolves with its answer when that has begun and is one. Nothing of the client's request goes along.
 *
 * @throws {@link StatusError} what the kubelet says; 503 when it is not reached; the signal's reason
 */
export async function openLog(backend: Backend, path: string, signal: AbortSignal): Promise<IncomingMessage> {
  for (let dead = 0; ; dead += 1) {
    signal.throwIfAborted();
    const { agent, host, port } = backend;
    const request = (backend.scheme === 'https' ? https : http).request({ agent, host, port, path });
    try {
      return await accepted(await answerTo(request, undefined, signal));
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof StatusError) throw error;
      if (request.reusedSocket && dead < MAX_DEAD) continue;
      throw new StatusError(
        503,
        'ServiceUnavailable',
        `error trying to reach the kubelet: ${messageOf(error)}`,
        { cause: error },
      );
    }
  }
}

async function accepted(answer: IncomingMessage): Promise<IncomingMessage> {
  const { statusCode: status = 0 } = answer;
  if (status >= 200 && status <= 206) return answer;
  if (status >= 300 && status < 400) {
    answer.destroy();
    throw new StatusError(
      500,
      'InternalError',
      'the kubelet answered with a redirect, which is not followed',
    );
  }
  const text = await beginningOf(answer);
  switch (status) {
    case 400:
      throw new StatusError(400, 'BadRequest', text);
    case 500:
      throw new StatusError(500, 'InternalError', `Internal error occurred: ${text}`);
    default:
      throw new StatusError(
        status >= 400 && status < 600 ? status : 500,
        REASONS[status] ?? '',
        `the server responded with the status code ${status} but did not return more information: ${text}`,
      );
  }
}

/** As many bytes as count, as text. */
async function beginningOf(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= MAX_REFUSAL_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_REFUSAL_BYTES).toString().trim();
}
