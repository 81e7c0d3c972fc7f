import type { Duplex } from 'node:stream';
import { GrowingBuffer } from './growing-buffer.js';

/** As large a head as kube-apiserver takes. */
const MAX_HEAD_BYTES = 1024 * 1024;

/** The head of an answer to an upgrade, and what came with it. */
export interface ReplyHead {
  readonly status: number;
  /** Every byte of it, with the empty line. */
  readonly raw: Buffer;
  readonly statusLine: string;
  /** In their order; names in lower case. */
  readonly fields: readonly { readonly name: string; readonly value: string; readonly line: string }[];
  /** What has come behind it already. */
  readonly rest: Buffer;
}

/** What was answered is no head of HTTP/1. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError';
}

const END = Buffer.from('\r\n\r\n');
const LF = 0x0a;
const CR = 0x0d;

/**
 * Reads the head of an answer. The stream is paused then, behind what is in `rest`.
 *
 * @throws {@link ReplyError}; what the stream fails with
 */
export function readReplyHead(backend: Duplex): Promise<ReplyHead> {
  return new Promise((resolve, reject) => {
    const scan = new HeadScan();
    const stop = (): void =>
      void backend.off('data', take).off('end', onEnd).off('close', onEnd).off('error', fail).pause();
    const fail = (error: unknown): void => {
      stop();
      reject(error);
    };
    const onEnd = (): void =>
      fail(backend.errored ?? new ReplyError(`unexpected EOF after ${scan.length} bytes of the answer`));
    const take = (chunk: Buffer): void => {
      try {
        const head = scan.push(chunk);
        if (head === undefined) return;
        stop();
        resolve(head);
      } catch (error) {
        fail(error);
      }
    };
    backend.on('data', take).on('end', onEnd).on('close', onEnd).on('error', fail);
    if (backend.destroyed || backend.readableEnded) onEnd();
  });
}

/** Looks for the end of a head; at each byte once. */
class HeadScan {
  readonly #received = new GrowingBuffer();

  get length(): number {
    return this.#received.length;
  }

  push(chunk: Buffer): ReplyHead | undefined {
    const seen = this.length;
    this.#received.push(chunk);
    const { bytes } = this.#received;
    const at = bytes.indexOf(END, Math.max(0, seen - END.length + 1));
    const length = at === -1 ? bytes.length : at + END.length;
    if (length > MAX_HEAD_BYTES) throw new ReplyError(`the head is larger than ${MAX_HEAD_BYTES} bytes`);
    checkStart(bytes);
    checkLines(bytes, seen, length);
    if (at === -1) return undefined;
    const raw = bytes.subarray(0, length);
    return { ...parse(raw.subarray(0, at).toString('latin1')), raw, rest: bytes.subarray(length) };
  }
}

/** So that nobody waits for the end of what is none. */
function checkStart(bytes: Buffer): void {
  const start = bytes.subarray(0, 5).toString('latin1');
  if (!'HTTP/'.startsWith(start)) throw new ReplyError('what was answered is not HTTP');
}

/** Whoever takes a bare LF for the end of a line sees other lines than whoever does not. */
function checkLines(bytes: Buffer, from: number, to: number): void {
  for (let at = bytes.indexOf(LF, from); at !== -1 && at < to; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at - 1] !== CR) throw new ReplyError('a line of the head ends in a bare LF');
  }
}

const STATUS_LINE = /^HTTP\/1\.[01] ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const FIELD = /^([\w!#$%&'*+.^`|~-]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)$/;

function parse(text: string): Pick<ReplyHead, 'status' | 'statusLine' | 'fields'> {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const status = STATUS_LINE.exec(statusLine)?.[1];
  if (status === undefined) throw new ReplyError('the status line is malformed');
  const fields = lines.map((line) => {
    const [, name, value] = FIELD.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new ReplyError('a field of the head is malformed');
    return { name: name.toLowerCase(), value: value.trimEnd(), line };
  });
  return { status: Number(status), statusLine, fields };
}
