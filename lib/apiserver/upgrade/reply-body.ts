import { ChunkedBody } from './chunked-body.js';
import { membersOf } from './is-upgrade.js';
import { ReplyError, type ReplyHead } from './reply-head.js';

/** Where the body of an answer ends, told from its bytes, which are passed on as they are. */
export interface ReplyBody {
  /** How many of the bytes that have come belong to it. */
  take(chunk: Buffer): number;
  /** Nothing more belongs to it. */
  readonly isComplete: boolean;
  /** The end of the connection is its own. */
  readonly endsWithConnection: boolean;
}

/**
 * By RFC 9112 §6.3.
 *
 * @throws {@link ReplyError} when the head does not say it for certain
 */
export function replyBody({ status, fields }: ReplyHead, method: string): ReplyBody {
  const valuesOf = (name: string): string[] =>
    fields.filter((field) => field.name === name).map(({ value }) => value);
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return new SizedBody(0);
  const codings = valuesOf('transfer-encoding').flatMap(membersOf);
  const lengths = valuesOf('content-length');
  if (codings.length > 0) {
    if (lengths.length > 0) throw new ReplyError('the answer has Content-Length and Transfer-Encoding');
    return codings.at(-1)?.toLowerCase() === 'chunked' ? new ChunkedBody() : untilTheEnd;
  }
  const [length] = lengths;
  if (length === undefined) return untilTheEnd;
  if (!/^\d{1,15}$/.test(length) || lengths.some((other) => other !== length))
    throw new ReplyError('the Content-Length of the answer is malformed');
  return new SizedBody(Number(length));
}

class SizedBody implements ReplyBody {
  readonly endsWithConnection = false;
  #left: number;

  constructor(length: number) {
    this.#left = length;
  }

  get isComplete(): boolean {
    return this.#left === 0;
  }

  take({ length }: Buffer): number {
    const taken = Math.min(length, this.#left);
    this.#left -= taken;
    return taken;
  }
}

const untilTheEnd: ReplyBody = {
  isComplete: false,
  endsWithConnection: true,
  take: ({ length }) => length,
};
