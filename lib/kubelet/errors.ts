import { TunnelError, type ErrorContext } from '../errors.js';
import { printable } from '../printable.js';

/** As much of what a kubelet says as a person reads, in characters. */
export const MAX_SHOWN = 1000;

/** The code of a refusal, by its HTTP status. */
export type RefusalCode =
  | 'ERR_KUBELET_BAD_REQUEST'
  | 'ERR_KUBELET_FORBIDDEN'
  | 'ERR_KUBELET_NOT_FOUND'
  | 'ERR_KUBELET_STATUS'
  | 'ERR_KUBELET_UNAUTHORIZED';

const CODES: Readonly<Record<number, RefusalCode>> = {
  400: 'ERR_KUBELET_BAD_REQUEST',
  401: 'ERR_KUBELET_UNAUTHORIZED',
  403: 'ERR_KUBELET_FORBIDDEN',
  404: 'ERR_KUBELET_NOT_FOUND',
};

const ADVICE: Readonly<Record<number, string>> = {
  401: 'show a client certificate of its client CA, or a token that the cluster knows',
  403: 'bind this user to the ClusterRole system:kubelet-api-admin',
};

/**
 * The kubelet answered, but not with what was asked for. `code` tells 400, 401, 403 and 404 apart; any other status is
 * `ERR_KUBELET_STATUS`.
 */
export class KubeletError extends TunnelError {
  declare readonly code: RefusalCode;
  /** Of HTTP. */
  readonly status: number;
  /** What the kubelet says, without control characters and at most 1000 characters of it. */
  readonly text: string;

  constructor(status: number, said: string, context: ErrorContext = {}) {
    const text = printable(messageIn(said), Infinity).slice(0, MAX_SHOWN);
    const problem = `the kubelet of ${context.node ?? 'the node'} answers ${status}${text && `: ${text}`}`;
    const advice = ADVICE[status];
    super(
      CODES[status] ?? 'ERR_KUBELET_STATUS',
      advice === undefined ? problem : `${problem}; ${advice}`,
      context,
    );
    this.status = status;
    this.text = text;
  }
}

/** The kubelet's certificate belongs to somebody else than it should: another subject, or not the one that is pinned. */
export class KubeletCertificateError extends TunnelError {
  declare readonly code: 'ERR_KUBELET_CERTIFICATE';

  constructor(message: string, context?: ErrorContext) {
    super('ERR_KUBELET_CERTIFICATE', message, context);
  }
}

/** What the kubelet answered cannot be used: no JSON, longer than anything it has to say, or broken off. */
export class KubeletAnswerError extends TunnelError {
  declare readonly code: 'ERR_KUBELET_ANSWER';

  constructor(message: string, context?: ErrorContext) {
    super('ERR_KUBELET_ANSWER', message, context);
  }
}

/** The kubelet did not answer within `timeoutMs`. */
export class KubeletTimeoutError extends TunnelError {
  declare readonly code: 'ERR_KUBELET_TIMEOUT';

  constructor(message: string, context?: ErrorContext) {
    super('ERR_KUBELET_TIMEOUT', message, context);
  }
}

/** How far a log had been given when it was cut. */
export interface LogPosition {
  /** Time of the last whole line that was given, as the kubelet wrote it (RFC 3339, nanoseconds); `undefined` when none was, or times were not asked for. */
  readonly lastTime: string | undefined;
  /** How many lines of exactly that time were given. */
  readonly linesAtLastTime: number;
}

/**
 * A log broke off before its end; `cause` says why. To go on, ask again with `sinceTime: lastTime` and leave out the first
 * `linesAtLastTime` lines of that time, which come again; or follow with `{ resume: true }`, which does that.
 */
export class LogCutError extends TunnelError implements LogPosition {
  declare readonly code: 'ERR_KUBELET_LOG_CUT';
  readonly lastTime: string | undefined;
  readonly linesAtLastTime: number;

  constructor(message: string, position: LogPosition, context?: ErrorContext) {
    super('ERR_KUBELET_LOG_CUT', message, context);
    this.lastTime = position.lastTime;
    this.linesAtLastTime = position.linesAtLastTime;
  }
}

/** Some answers are JSON with the text in it: `{"message": "Unable to decode query."}`, or a Status. */
function messageIn(said: string): string {
  if (!said.trimStart().startsWith('{')) return said;
  try {
    const { message } = JSON.parse(said) as { readonly message?: unknown };
    return typeof message === 'string' ? message : said;
  } catch {
    return said;
  }
}
