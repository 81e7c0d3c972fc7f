import type { IncomingMessage } from 'node:http';
import { ApiRefusal } from './status.js';

/** As much as an API server takes (k8s.io/apiserver, pkg/server/config.go, MaxRequestBodyBytes). */
const MAX_BODY_BYTES = 3 * 2 ** 20;

/**
 * The body of a request, parsed; `undefined` if there is none.
 *
 * @throws {@link ApiRefusal} 400, 413, 415 for protobuf, which newer kubectls send for some kinds
 */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > MAX_BODY_BYTES)
      throw new ApiRefusal(
        413,
        'RequestEntityTooLarge',
        `Request entity too large: limit is ${MAX_BODY_BYTES}`,
      );
    parts.push(part);
  }
  if (length === 0) return undefined;
  if (!/^application\/json\b/.test(request.headers['content-type'] ?? 'application/json'))
    throw new ApiRefusal(415, 'UnsupportedMediaType', 'this API server understands application/json only');
  try {
    return JSON.parse(Buffer.concat(parts).toString());
  } catch {
    throw new ApiRefusal(400, 'BadRequest', 'the body is not JSON');
  }
}
