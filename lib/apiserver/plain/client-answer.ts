import { ServerResponse } from 'node:http';
import { constants, type Http2ServerResponse } from 'node:http2';
import type { ProxyResponse } from '../exchange.js';
import type { AnswerHead } from './answer-head.js';
import { field, pairsOf, rawOf, valuesOf, type Field } from './fields.js';

/** What is told to a client, over either version of HTTP. */
export interface ClientAnswer {
  /** @throws when it cannot be said in this version of HTTP */
  begin(head: AnswerHead): void;
  /** An answer before the answer: 102 or 103. */
  inform(status: number, fields: readonly Field[]): void;
  /** Whether there is room for more. */
  write(chunk: Buffer): boolean;
  end(trailers: readonly Field[]): void;
  /** Ends it so that it cannot be taken for complete. */
  cut(): void;
  /** Whether nobody can be told anything any more. */
  readonly isGone: boolean;
}

export function clientAnswer(response: ProxyResponse): ClientAnswer {
  return response instanceof ServerResponse ? new Http1Answer(response) : new Http2Answer(response);
}

class Http1Answer implements ClientAnswer {
  readonly #response: ServerResponse;
  #flush: NodeJS.Immediate | undefined;
  #isDelimited = true;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  get isGone(): boolean {
    const { destroyed, req } = this.#response;
    return destroyed || req.socket.destroyed;
  }

  begin({ status, phrase, fields, trailers }: AnswerHead): void {
    if (status < 200) throw new Error(`its status is ${status}`);
    const response = this.#response;
    const hasLength = valuesOf(fields, 'content-length').length > 0;
    this.#isDelimited = hasLength || response.req.httpVersion === '1.1';
    const isChunked = !hasLength && this.#isDelimited && !isBodiless(response.req.method, status);
    const raw = rawOf(fields);
    if (isChunked && trailers.length > 0) raw.push('Trailer', trailers.join(', '));
    response.writeHead(status, phrase, raw);
    // The body may be there already, and then they are one packet.
    this.#flush = setImmediate(() => response.flushHeaders());
  }

  inform(status: number, fields: readonly Field[]): void {
    const response = this.#response;
    if (response.req.httpVersion !== '1.1' || response.headersSent) return;
    if (status === 102) response.writeProcessing();
    if (status !== 103) return;
    try {
      response.writeEarlyHints(headersOf(fields));
    } catch {
      // Node takes few of the forms that a Link may have; the hint is only a hint.
    }
  }

  write(chunk: Buffer): boolean {
    clearImmediate(this.#flush);
    return this.#response.write(chunk);
  }

  end(trailers: readonly Field[]): void {
    clearImmediate(this.#flush);
    if (trailers.length > 0) this.#response.addTrailers(pairsOf(trailers));
    this.#response.end();
  }

  cut(): void {
    clearImmediate(this.#flush);
    const { socket } = this.#response;
    // Without this the end of the connection is the end of the body.
    if (!this.#isDelimited && socket !== null && !('encrypted' in socket)) socket.resetAndDestroy();
    else {
      // What has come before it breaks off is worth having.
      this.#response.flushHeaders();
      socket?.destroySoon();
    }
  }
}

class Http2Answer implements ClientAnswer {
  readonly #response: Http2ServerResponse;

  constructor(response: Http2ServerResponse) {
    this.#response = response;
  }

  get isGone(): boolean {
    const { stream } = this.#response;
    return stream.closed || stream.destroyed;
  }

  begin({ status, fields, trailers }: AnswerHead): void {
    // Before any of its fields is kept, which are not for the answer that tells of it.
    if (status < 200 || status > 599) throw new Error(`its status is ${status}`);
    const announced = trailers.length > 0 ? [field('trailer', trailers.join(', '))] : [];
    this.#response.writeHead(status, headersOf([...fields, ...announced]));
  }

  inform(status: number, fields: readonly Field[]): void {
    const { stream } = this.#response;
    if (this.isGone || stream.headersSent || (status !== 102 && status !== 103)) return;
    stream.additionalHeaders({ ...headersOf(fields), ':status': status });
  }

  write(chunk: Buffer): boolean {
    return this.#response.write(chunk);
  }

  end(trailers: readonly Field[]): void {
    const response = this.#response;
    response.addTrailers(headersOf(trailers));
    response.end();
    const { stream } = response;
    // `complete` says whether all was read. Of a request without a body nothing ever is.
    if (stream.endAfterHeaders || response.req.complete) return;
    // RFC 9113 §8.1: what is still being uploaded is not read any more. Said before the end of the answer, clients in Go take it for a failure.
    stream.once('finish', () => setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR)));
  }

  cut(): void {
    this.#response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }
}

const isBodiless = (method: string | undefined, status: number): boolean =>
  method === 'HEAD' || status === 204 || status === 304;

/** What cannot be one value, and what Node reads one by one. */
const LISTED: ReadonlySet<string> = new Set(['link', 'set-cookie']);

/** Repeats become one value (RFC 9110 §5.3): HTTP/2 in Node takes no repeats of many a name. */
function headersOf(fields: readonly Field[]): Record<string, string | string[]> {
  const headers = new Map<string, string[]>();
  for (const { key, value } of fields) headers.set(key, [...(headers.get(key) ?? []), value]);
  return Object.fromEntries(
    Array.from(headers, ([key, values]) => [key, LISTED.has(key) ? values : values.join(', ')]),
  );
}
