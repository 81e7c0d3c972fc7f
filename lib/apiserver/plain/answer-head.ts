import type { IncomingMessage } from 'node:http';
import { field, fieldsOf, hopByHop, isSendable, listOf, type Field } from './fields.js';

/** What a page of a backend's could allow itself on the apiserver's origin. */
const CORS: ReadonlySet<string> = new Set([
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-allow-origin',
]);

/** What a backend says of itself, in terms in which a client may be told. */
export interface AnswerHead {
  readonly status: number;
  readonly phrase: string;
  readonly fields: readonly Field[];
  /** Names of the trailer fields that it announces. */
  readonly trailers: readonly string[];
}

/** The head of an answer without what belongs to the connection to the backend, and without `Access-Control-Allow-*` where links are rewritten, too. */
export function answerHead(answer: IncomingMessage, rewrites: boolean): AnswerHead {
  const { statusCode: status = 0, statusMessage = '' } = answer;
  const phrase = isSendable({ name: 'phrase', value: statusMessage }) ? statusMessage : '';
  const all = fieldsOf(answer.rawHeaders);
  const passes = endToEnd(all);
  const fields = all.filter((each) => {
    if (rewrites && CORS.has(each.key)) return false;
    // RFC 9110 §8.6: what Node does not take for the length of a body, others might.
    if (status === 204 && each.key === 'content-length') return false;
    return passes(each);
  });
  const announced = listOf(all, 'trailer');
  const trailers = announced.length === 0 ? announced : announced.filter((name) => passes(field(name, '')));
  return { status, phrase, fields, trailers };
}

/** The trailer fields of an answer that has ended. */
export function answerTrailers(answer: IncomingMessage): Field[] {
  if (answer.rawTrailers.length === 0) return [];
  const passes = endToEnd(fieldsOf(answer.rawHeaders));
  return fieldsOf(answer.rawTrailers).filter((each) => passes(each) && each.key !== 'content-length');
}

/** The fields of an informational answer. */
export function informationFields(rawHeaders: readonly string[]): Field[] {
  const all = fieldsOf(rawHeaders);
  return all.filter(endToEnd(all));
}

function endToEnd(all: readonly Field[]): (field: Field) => boolean {
  const isHopByHop = hopByHop(all);
  return (each) => isSendable(each) && !isHopByHop(each);
}
