import type { OutgoingHttpHeaders } from 'node:http';
import type { Caller } from '../access.js';
import { StatusError } from '../status-error.js';
import type { Identity } from './upstream-agents.js';

/** In whose name the upstream is asked. */
export type Asker = Caller | 'proxy';

/** What is asked of the upstream. */
export interface UpstreamQuestion {
  /** Nobody else's credentials go with it. */
  readonly as: Asker;
  /** Default: GET. */
  readonly method?: 'GET' | 'POST' | undefined;
  /** Beside those that say who asks. */
  readonly headers?: OutgoingHttpHeaders | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** How long the answer may be, in characters. Default: 16 Mi. */
  readonly maxBytes?: number | undefined;
  /** Default: that of the client. */
  readonly timeoutMs?: number | undefined;
}

/** Whose connections a question may take. */
export function identityOf(asker: Asker): Identity {
  return asker === 'proxy' || asker.isImpersonated === true ? 'proxy' : 'nobody';
}

/** @throws {@link StatusError} 400: what is put together from names must stay where it belongs, whoever is asked for them. */
export function checkPath(path: string): void {
  const [bare = ''] = path.split('?', 1);
  const isDotted = bare.split('/').some((segment) => /^(\.|%2e){1,2}$/i.test(segment));
  if (/^\/[!-~]*$/.test(path) && !isDotted) return;
  throw new StatusError(400, 'BadRequest', 'the name cannot be part of a path of the API');
}
