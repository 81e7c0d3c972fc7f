import { InvalidOptionError } from '../errors.js';
import {
  abortSignal,
  boolean,
  describeValue,
  integer,
  milliseconds,
  objectOf,
  optional,
  withDefault,
  type Check,
} from '../validation.js';
import { objectName, pathOf, type ContainerName } from './names.js';

/** How a log is followed over losses of the connection to the node. */
export interface ResumeOptions {
  /** Whether to go on by itself where the log was cut, with no line twice and none left out. */
  resume: boolean;
  /** Shortest wait before the kubelet is asked again in vain, in milliseconds. Default: 250. */
  retryMinMs?: number | undefined;
  /** Longest wait before the kubelet is asked again, in milliseconds; waits grow towards it and are drawn at random. Default: 30 000. */
  retryMaxMs?: number | undefined;
  /** How long the kubelet may be out of reach, in milliseconds, before the log is given up. Default: 600 000, ten minutes. */
  giveUpMs?: number | undefined;
}

/** Which log, and what of it. */
export interface LogOptions extends ContainerName {
  /** Whether to wait for what is printed from now on, until the container ends: for as long as it lasts. Default: `false`. */
  follow?: boolean | ResumeOptions | undefined;
  /** The log of the container's run before this one. Default: `false`. */
  previous?: boolean | undefined;
  /** At most so many of the last lines; 0 is none. */
  tailLines?: number | undefined;
  /** Only what is not older than so many seconds. Not with `sinceTime`. */
  sinceSeconds?: number | undefined;
  /** Only what is not older than this, RFC 3339 with up to nine digits of a second, or a `Date`. Not with `sinceSeconds`. */
  sinceTime?: string | Date | undefined;
  /** Whether the time stands before each line. Default: `false`. */
  timestamps?: boolean | undefined;
  /**
   * At most so many bytes. A log that is followed ends there, and it is what you get that is counted, over all that was resumed; else the kubelet
   * counts.
   */
  limitBytes?: number | undefined;
  /** Gives the log up, at any time: it fails with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** Waits and patience of a log that resumes. */
export type Resume = Omit<ReturnType<typeof checkResume>, 'resume'>;

/** The options, checked. */
export interface LogRequest {
  readonly name: ContainerName;
  /** `false`: as it is until now. Else a log without end; with what it resumes by, if it does. */
  readonly follow: false | { readonly resume?: Resume };
  readonly previous: boolean;
  readonly tailLines: number | undefined;
  readonly sinceSeconds: number | undefined;
  readonly sinceTime: string | undefined;
  readonly timestamps: boolean;
  readonly limitBytes: number | undefined;
  readonly signal: AbortSignal | undefined;
}

const checkResume = objectOf({
  resume: boolean,
  retryMinMs: withDefault(milliseconds(1), 250),
  retryMaxMs: withDefault(milliseconds(1), 30_000),
  giveUpMs: withDefault(milliseconds(1), 600_000),
} satisfies Record<keyof ResumeOptions, Check<unknown>>);

const follow: Check<LogRequest['follow']> = (value, path) => {
  if (value === undefined || value === false) return false;
  if (value === true) return {};
  if (typeof value !== 'object' || value === null) {
    const problem = `must be true, false or { resume: true }, got ${describeValue(value)}`;
    throw new InvalidOptionError(path, problem);
  }
  const { resume, ...rest } = checkResume(value, path);
  if (rest.retryMaxMs < rest.retryMinMs)
    throw new InvalidOptionError(`${path}.retryMaxMs`, `must be at least retryMinMs, ${rest.retryMinMs}`);
  return resume ? { resume: rest } : {};
};

const time: Check<string> = (value, path) => {
  if (value instanceof Date && !Number.isNaN(value.getTime())) return value.toISOString();
  const isTime =
    typeof value === 'string' &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.test(value) &&
    !Number.isNaN(Date.parse(value));
  if (isTime) return value;
  throw new InvalidOptionError(
    path,
    `must be a time as in RFC 3339, such as 2026-01-31T12:00:00.5Z, or a Date, got ${describeValue(value)}`,
  );
};

const checkOptions = objectOf({
  namespace: objectName,
  pod: objectName,
  container: objectName,
  follow,
  previous: withDefault(boolean, false),
  tailLines: optional(integer(0, Number.MAX_SAFE_INTEGER)),
  sinceSeconds: optional(integer(1, Number.MAX_SAFE_INTEGER)),
  sinceTime: optional(time),
  timestamps: withDefault(boolean, false),
  limitBytes: optional(integer(1, Number.MAX_SAFE_INTEGER)),
  signal: optional(abortSignal),
} satisfies Record<keyof LogOptions, Check<unknown>>);

/**
 * As kube-apiserver validates them (pkg/apis/core/validation, ValidatePodLogOptions).
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function checkLogOptions(options: unknown): LogRequest {
  const { namespace, pod, container, ...rest } = checkOptions(options, '');
  if (rest.sinceSeconds !== undefined && rest.sinceTime !== undefined)
    throw new InvalidOptionError('sinceTime', 'stands beside sinceSeconds: give one of the two');
  return { name: { namespace, pod, container }, ...rest };
}

/** What is asked of a kubelet; what is `undefined` or `false` is not. */
export interface LogQuery {
  readonly follow?: boolean | undefined;
  readonly limitBytes?: number | undefined;
  readonly previous?: boolean | undefined;
  readonly sinceSeconds?: number | undefined;
  readonly sinceTime?: string | undefined;
  readonly tailLines?: number | undefined;
  readonly timestamps?: boolean | undefined;
}

/** The kubelet's own path and parameters, as kube-apiserver asks for them (pkg/registry/core/pod, LogLocation). */
export function logPath({ namespace, pod, container }: ContainerName, query: LogQuery): string {
  const parameters = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== false) parameters.set(key, String(value));
  }
  parameters.sort();
  const path = pathOf('containerLogs', namespace, pod, container);
  return parameters.size === 0 ? path : `${path}?${parameters.toString()}`;
}
