import http, { type ClientRequest, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { messageOf } from '../../errors.js';
import { printable } from '../../printable.js';
import type { Backend } from '../backend.js';
import { StatusError } from '../status-error.js';
import { rawOf } from './fields.js';
import type { RequestHead } from './request-head.js';

/** As kube-apiserver allows it for the head of a request and of an answer. */
const MAX_HEAD_BYTES = 2 ** 20;

/** Answers before the answer (RFC 9110 §15.2) that a backend may send. */
const MAX_INFORMATION = 100;

/** Of all of them together, in characters: they go to the client whether it reads or not. */
const MAX_INFORMATION_BYTES = 256 * 1024;

/** As many kept connections may turn out to be dead before one request; a new one is not tried again. */
const MAX_DEAD = 16;

/** Methods that may be repeated (RFC 9110 §9.2.2) if they have no body. */
const REPEATABLE: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD', 'OPTIONS']);

/** An answer before the answer, as `node:http` tells it. */
interface Information {
  readonly statusCode: number;
  readonly rawHeaders: readonly string[];
}

/** What a backend is asked. */
export interface Question {
  readonly backend: Backend;
  readonly method: string | undefined;
  /** Path and query. */
  readonly path: string;
  readonly head: RequestHead;
  /** Sends the body, if there is one, and ends the request. */
  readonly send: (request: ClientRequest) => void;
  readonly inform: (status: number, rawHeaders: readonly string[]) => void;
}

/** A request to a backend, which can be given up at any time. */
export class BackendRequest {
  readonly #question: Question;
  #request: ClientRequest | undefined;
  #isGivenUp = false;

  constructor(question: Question) {
    this.#question = question;
  }

  /** Whether all of the request has been sent, or will be without our doing more. */
  get isSent(): boolean {
    return this.#request?.writableEnded === true;
  }

  /**
   * Resolves with the answer when it has begun. A kept connection that turns out to be dead is replaced where that does no harm.
   *
   * @throws StatusError 503 when there is none, 400 for a request that cannot be sent
   */
  async answer(): Promise<IncomingMessage> {
    for (let dead = 0; ; dead += 1) {
      const request = this.#begin();
      try {
        return await this.#answerTo(request);
      } catch (error) {
        if (!this.#isGivenUp && dead < MAX_DEAD && this.#mayRepeat(request, error)) continue;
        throw unreachable(messageOf(error), error);
      }
    }
  }

  /** Ends it, whatever its state. */
  giveUp(): void {
    this.#isGivenUp = true;
    this.#request?.destroy(new Error('given up'));
  }

  #begin(): ClientRequest {
    const { backend, method, path, head } = this.#question;
    const { agent, host, port, scheme } = backend;
    const headers = rawOf(head.fields);
    const options = { agent, host, port, method, path, headers, maxHeaderSize: MAX_HEAD_BYTES };
    try {
      const request = (scheme === 'https' ? https : http).request(options as http.RequestOptions);
      // 0 is no limit: by default Node drops fields above a number without a word.
      request.maxHeadersCount = 0;
      this.#request = request;
      return request;
    } catch (error) {
      throw new StatusError(400, 'BadRequest', `the request cannot be sent: ${printable(messageOf(error))}`, {
        cause: error,
      });
    }
  }

  #answerTo(request: ClientRequest): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      let informed = 0;
      let informedBytes = 0;
      let isAnswered = false;
      request.on('information', ({ statusCode, rawHeaders }: Information) => {
        informed += 1;
        informedBytes += rawHeaders.join('').length;
        if (informed > MAX_INFORMATION || informedBytes > MAX_INFORMATION_BYTES)
          request.destroy(new Error('too many informational answers'));
        else this.#question.inform(statusCode, rawHeaders);
      });
      // What happens later happens to the answer, too.
      request.once('response', (answer) => {
        // It was in one packet with what it is given up for.
        if (request.destroyed) return;
        isAnswered = true;
        resolve(answer);
      });
      request.on('error', reject);
      request.once('close', () => {
        // An upgrade that nobody asked for is closed by Node, which tells nothing else of it.
        if (!isAnswered) reject(new Error('it switched to another protocol in place of an answer'));
      });
      this.#question.send(request);
    });
  }

  #mayRepeat(request: ClientRequest, error: unknown): boolean {
    const { code } = error as { readonly code?: unknown };
    const isDead = request.reusedSocket && (code === 'ECONNRESET' || code === 'EPIPE');
    return isDead && this.#question.head.framing.kind === 'none' && REPEATABLE.has(this.#question.method);
  }
}

/** As kube-apiserver says it (apimachinery, `Transport.RoundTrip`). */
export function unreachable(problem: string, cause?: unknown): StatusError {
  const message = `error trying to reach service: ${printable(problem, 1000)}`;
  return new StatusError(503, 'ServiceUnavailable', message, { cause });
}
