import { Refusal } from './answers.js';
import { fromMilliseconds, parseTimestamp, type Nanoseconds } from './timestamp.js';

/** What is asked for of a log. */
export interface LogQuery {
  readonly follow: boolean;
  readonly previous: boolean;
  readonly timestamps: boolean;
  /** Lines of this time and later. */
  readonly since: Nanoseconds | undefined;
  readonly tailLines: number | undefined;
  readonly limitBytes: number | undefined;
  readonly stream: 'stdout' | 'stderr' | undefined;
}

/**
 * Reads the query of `/containerLogs` (k8s.io/kubernetes, pkg/kubelet/server/server.go, getContainerLogs).
 *
 * @throws {@link Refusal} 400 when it cannot be read, 422 when it makes no sense
 */
export function parseLogQuery(query: URLSearchParams): LogQuery {
  const tail = query.get('tail') ?? '';
  const tailLines = tail === '' ? integer(query, 'tailLines') : tail === 'all' ? undefined : whole(tail);
  const limitBytes = integer(query, 'limitBytes');
  const sinceSeconds = integer(query, 'sinceSeconds');
  const sinceTime = time(query);
  const stream = streamOf(query);
  const isWrong =
    (tailLines ?? 0) < 0 ||
    (limitBytes ?? 1) < 1 ||
    (sinceSeconds ?? 1) < 1 ||
    (sinceSeconds !== undefined && sinceTime !== undefined) ||
    stream === 'unknown' ||
    (stream !== undefined && tailLines !== undefined);
  if (isWrong) throw new Refusal(422, '{"message": "Invalid request."}');
  return {
    follow: flag(query, 'follow'),
    previous: flag(query, 'previous'),
    timestamps: flag(query, 'timestamps'),
    since: sinceSeconds === undefined ? sinceTime : fromMilliseconds(Date.now() - sinceSeconds * 1000),
    tailLines,
    limitBytes,
    stream,
  };
}

/** As Kubernetes reads one: there and not false (k8s.io/apimachinery, pkg/runtime/converter.go). */
function flag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value !== null && value !== '0' && value.toLowerCase() !== 'false';
}

function integer(query: URLSearchParams, name: string): number | undefined {
  const value = query.get(name);
  return value === null || value === '' ? undefined : whole(value);
}

function whole(text: string): number {
  if (/^[+-]?\d{1,15}$/.test(text)) return Number(text);
  throw undecodable();
}

function time(query: URLSearchParams): Nanoseconds | undefined {
  const value = query.get('sinceTime') ?? '';
  if (value === '' || value === 'null') return undefined;
  const parsed = parseTimestamp(value);
  if (parsed === undefined) throw undecodable();
  return parsed;
}

function streamOf(query: URLSearchParams): 'stdout' | 'stderr' | 'unknown' | undefined {
  const value = query.get('stream');
  if (value === null || value === 'All') return undefined;
  return value === 'Stdout' ? 'stdout' : value === 'Stderr' ? 'stderr' : 'unknown';
}

function undecodable(): Refusal {
  return new Refusal(400, '{"message": "Unable to decode query."}');
}
