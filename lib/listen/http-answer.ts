import { STATUS_CODES } from 'node:http';
import { printable } from '../printable.js';

/** Clients show as much of a reason phrase as they like. */
const MAX_LINE_LENGTH = 400;

export interface HttpAnswer {
  readonly status: number;
  /** One line that says what is wrong and what to do. */
  readonly line: string;
  /** Whether the line is the reason phrase, too. Go's clients, such as kubectl, show nothing else of an answer to CONNECT. */
  readonly inReason?: boolean | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** `false` for an answer to HEAD. */
  readonly hasBody?: boolean | undefined;
}

/** An answer of HTTP/1.1 after which the connection is closed. */
export function httpAnswer(answer: HttpAnswer): Buffer {
  const { status, headers = {}, inReason = false, hasBody = true } = answer;
  const line = printable(answer.line, MAX_LINE_LENGTH);
  const reason = inReason ? line.replace(/[^\x20-\x7e]/g, '?') : (STATUS_CODES[status] ?? '');
  const body = `${line}\n`;
  const fields = {
    Connection: 'close',
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(body)),
    'X-Content-Type-Options': 'nosniff',
    ...headers,
  };
  const head = [
    `HTTP/1.1 ${status} ${reason}`,
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${hasBody ? body : ''}`);
}
