import type { ServerResponse } from 'node:http';

/** On whatever is answered: nothing is kept, guessed, framed, or made to act. */
const ALWAYS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
};

export const PLAIN_TEXT = 'text/plain; charset=utf-8';

/** Sets the headers that every answer has; `headers` win. */
export function begin(response: ServerResponse, status: number, headers: Record<string, string>): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries({ ...ALWAYS, ...headers })) response.setHeader(name, value);
}

/** A whole answer; Node itself leaves the body away for HEAD. */
export function answer(
  response: ServerResponse,
  status: number,
  body: string,
  headers: Record<string, string> = {},
): void {
  const length = String(Buffer.byteLength(body));
  begin(response, status, { 'Content-Type': PLAIN_TEXT, 'Content-Length': length, ...headers });
  response.end(body);
}
