import { StatusError } from '../status-error.js';
import { flag, wholeNumber } from './query.js';

/** What is asked of a log, once it is known to be good (core/v1, PodLogOptions). */
export interface LogRequest {
  readonly container: string | undefined;
  readonly follow: boolean;
  /** For the kubelet. */
  readonly parameters: URLSearchParams;
}

interface Cause {
  readonly field: string;
  readonly reason: 'FieldValueInvalid' | 'FieldValueForbidden';
  readonly message: string;
}

/** RFC 3339 with seconds, as Go reads and Kubernetes writes it. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

/**
 * Reads the options of a log (pkg/apis/core/validation, `ValidatePodLogOptions`).
 *
 * @throws {@link StatusError} 400 for what cannot be read, 422 for what makes no sense
 */
export function logRequestOf(pod: string, query: URLSearchParams): LogRequest {
  const numbers = {
    sinceSeconds: wholeNumber(query, 'sinceSeconds'),
    tailLines: wholeNumber(query, 'tailLines'),
    limitBytes: wholeNumber(query, 'limitBytes'),
  };
  const sinceTime = timeIn(query);
  refuseInvalid(pod, [
    ...tooLow('tailLines', numbers.tailLines, 0),
    ...tooLow('limitBytes', numbers.limitBytes, 1),
    ...tooLow('sinceSeconds', numbers.sinceSeconds, 1),
    ...(sinceTime !== undefined && numbers.sinceSeconds !== undefined ? [BOTH_SINCE] : []),
  ]);
  const parameters = new URLSearchParams();
  for (const name of ['follow', 'previous', 'timestamps']) {
    if (flag(query, name)) parameters.set(name, 'true');
  }
  for (const [name, value] of Object.entries(numbers)) {
    if (value !== undefined) parameters.set(name, String(value));
  }
  if (sinceTime !== undefined) parameters.set('sinceTime', sinceTime);
  return { container: query.get('container') ?? undefined, follow: flag(query, 'follow'), parameters };
}

const BOTH_SINCE: Cause = {
  field: 'sinceSeconds',
  reason: 'FieldValueForbidden',
  message: 'Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified',
};

function timeIn(query: URLSearchParams): string | undefined {
  const text = query.get('sinceTime');
  if (text === null || text === '') return undefined;
  if (TIME.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new StatusError(400, 'BadRequest', 'sinceTime must be a time of RFC 3339');
}

function tooLow(field: string, value: number | undefined, least: 0 | 1): readonly Cause[] {
  if (value === undefined || value >= least) return [];
  const bound = least === 0 ? 'greater than or equal to 0' : 'greater than 0';
  return [{ field, reason: 'FieldValueInvalid', message: `Invalid value: ${value}: must be ${bound}` }];
}

function refuseInvalid(pod: string, causes: readonly Cause[]): void {
  if (causes.length === 0) return;
  const problems = causes.map(({ field, message }) => `${field}: ${message}`);
  const all = problems.length === 1 ? problems.join() : `[${problems.join(', ')}]`;
  throw new StatusError(422, 'Invalid', `PodLogOptions "${pod}" is invalid: ${all}`, {
    details: { name: pod, kind: 'PodLogOptions', causes },
  });
}
