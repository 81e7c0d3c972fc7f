import type { IncomingMessage } from 'node:http';
import { pipeline, Readable } from 'node:stream';
import {
  constants,
  createDeflate,
  createDeflateRaw,
  createGunzip,
  createGzip,
  createInflate,
  createInflateRaw,
} from 'node:zlib';
import type { AnswerHead } from './answer-head.js';
import { listOf, valuesOf } from './fields.js';
import { LinkRewriter } from './link-rewriter.js';
import type { LinkRules } from './links.js';

/** How a page is encoded (RFC 9110 §8.4.1) whose links can be changed. */
export type PageEncoding = 'identity' | 'gzip' | 'deflate';

/** What is no longer true of a body that was changed. */
const OF_THE_BYTES: ReadonlySet<string> = new Set([
  'content-digest',
  'content-length',
  'content-md5',
  'digest',
  'repr-digest',
]);

/** What is written is sent, at a small price: a page may come over a long time. */
const AT_ONCE = { flush: constants.Z_SYNC_FLUSH };

/**
 * How the page is encoded that an answer brings; `undefined` when it brings none, or one that is passed on as it is: behind a redirect, in
 * another encoding, or in part, because its offsets would not hold any more.
 */
export function pageEncoding({ status, fields }: AnswerHead): PageEncoding | undefined {
  const [type = ''] = valuesOf(fields, 'content-type');
  if (type.split(';')[0]?.trim().toLowerCase() !== 'text/html') return undefined;
  if (status === 206 || valuesOf(fields, 'location').length > 0) return undefined;
  const encodings = listOf(fields, 'content-encoding').filter((encoding) => encoding !== 'identity');
  const [encoding = 'identity'] = encodings;
  if (encodings.length > 1) return undefined;
  return encoding === 'identity' || encoding === 'gzip' || encoding === 'deflate' ? encoding : undefined;
}

/** The head that goes with {@link pageBody}. */
export function pageHead(head: AnswerHead): AnswerHead {
  return { ...head, fields: head.fields.filter(({ key }) => !OF_THE_BYTES.has(key)) };
}

/** The body of an answer with its links changed, in the encoding in which it came. What goes wrong with the answer goes wrong with it. */
export async function pageBody(
  answer: IncomingMessage,
  encoding: PageEncoding,
  rules: LinkRules,
): Promise<Readable> {
  const rewriter = new LinkRewriter(rules);
  const failed = (): void => undefined;
  if (encoding === 'identity') return pipeline(answer, rewriter, failed);
  const first = await firstByte(answer);
  if (first === undefined) return answer.complete ? Readable.from([]) : answer;
  const [decoder, encoder] = codec(encoding, first);
  return pipeline(answer, decoder, rewriter, encoder, failed);
}

/** RFC 9110 §8.4.1.2 means the format of zlib, but many send what is inside it; no encoder begins that with such a byte. */
function codec(encoding: 'gzip' | 'deflate', first: number) {
  if (encoding === 'gzip') return [createGunzip(), createGzip(AT_ONCE)] as const;
  if ((first & 0x0f) === 8) return [createInflate(), createDeflate(AT_ONCE)] as const;
  return [createInflateRaw(), createDeflateRaw(AT_ONCE)] as const;
}

/** Of the body; `undefined` when it is empty. */
async function firstByte(answer: IncomingMessage): Promise<number | undefined> {
  if (answer.readableLength === 0 && !answer.readableEnded && !answer.destroyed)
    await new Promise<void>((resolve) => {
      answer.once('readable', resolve).once('close', resolve);
    });
  const chunk = answer.read() as Buffer | null;
  if (chunk === null) return undefined;
  answer.unshift(chunk);
  return chunk[0];
}
