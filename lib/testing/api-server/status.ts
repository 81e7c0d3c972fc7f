import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** An answer that is no success: thrown wherever that is found out, and sent as a Status (meta/v1). */
export class ApiRefusal extends Error {
  readonly code: number;
  readonly reason: string;

  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
}

export function refuse(response: ServerResponse, { code, reason, message }: ApiRefusal): void {
  const why = reason === '' ? {} : { reason };
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, ...why, code };
  answer(response, status, code);
}

export function answer(
  response: ServerResponse,
  value: unknown,
  code = 200,
  headers: OutgoingHttpHeaders = {},
): void {
  const body = `${JSON.stringify(value)}\n`;
  const length = Buffer.byteLength(body);
  response
    .writeHead(code, { 'content-type': 'application/json', 'content-length': length, ...headers })
    .end(body);
}
