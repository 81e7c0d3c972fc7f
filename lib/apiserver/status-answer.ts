import type { StatusError } from './status-error.js';

/** A Status as it is sent, whatever it is sent over. */
export interface StatusAnswer {
  readonly fields: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** How kube-apiserver writes a Status (k8s.io/apiserver, pkg/endpoints/handlers/responsewriters). */
export function statusAnswer(error: StatusError): StatusAnswer {
  const body = Buffer.from(`${JSON.stringify(error)}\n`);
  const { retryAfterSeconds } = error.details ?? {};
  return {
    fields: {
      'Cache-Control': 'no-cache, private',
      'Content-Type': 'application/json',
      'Content-Length': String(body.length),
      'X-Content-Type-Options': 'nosniff',
      ...(retryAfterSeconds !== undefined && { 'Retry-After': String(retryAfterSeconds) }),
    },
    body,
  };
}
