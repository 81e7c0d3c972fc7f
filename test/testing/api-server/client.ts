import { request as requestHttps, type RequestOptions } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import type { ApiServer } from '../../../lib/testing/index.js';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** JSON, parsed. */
  readonly body: Record<string, unknown>;
}

/** Asks an API server for something, with the token of `user` if one is named. */
export async function ask(
  server: ApiServer,
  path: string,
  { user, body, ...options }: RequestOptions & { user?: string; body?: unknown } = {},
): Promise<Answer> {
  const authorization = user === undefined ? {} : { authorization: `Bearer ${server.tokenOf(user)}` };
  const headers = { ...authorization, ...(options.headers as Record<string, string> | undefined) };
  return new Promise((resolve, reject) => {
    const request = requestHttps(`${server.url}${path}`, {
      ca: server.certificateAuthority,
      agent: false,
      ...options,
      headers,
    });
    request.once('error', reject).once('response', (response) => {
      response.toArray().then((parts) => {
        const text = Buffer.concat(parts as Buffer[]).toString();
        const parsed = text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : { text };
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: parsed });
      }, reject);
    });
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
