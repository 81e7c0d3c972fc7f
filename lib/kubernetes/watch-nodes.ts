import { asError } from '../errors.js';
import { unlessAborted } from '../unless-aborted.js';
import { errorOfStatus, getFromApi, type Status } from './api-request.js';
import type { CredentialSource } from './cluster-access.js';
import { linesOf } from './lines.js';
import { trimNode, type KubernetesNode } from './node-spec.js';
import { TimeLimit } from './time-limit.js';

export interface WatchOptions {
  readonly labelSelector: string | undefined;
  readonly listTimeoutMs: number;
  readonly silenceMs: number;
}

/** What a watch tells (meta/v1, WatchEvent), without its errors. A bookmark's object has nothing but a resourceVersion. */
export interface NodeEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: KubernetesNode;
}

type WatchEvent = NodeEvent | { readonly type: 'ERROR'; readonly object: Status };

/**
 * Watches the Nodes from a moment on. Tells the events that have arrived together as one array. Returns when the API has ended the
 * watch, as it does every few minutes.
 *
 * @throws {@link ApiError}; an error of the network, of silence, or because something cannot be understood, which is not passed over:
 * it may have been the end of a node
 */
export async function* watchNodes(
  credentials: CredentialSource,
  resourceVersion: string,
  { labelSelector, listTimeoutMs, silenceMs }: WatchOptions,
  outer: AbortSignal,
): AsyncGenerator<readonly NodeEvent[]> {
  const limit = new TimeLimit(outer);
  limit.begin(listTimeoutMs, 'the API did not begin a watch of the nodes');
  try {
    const given = await unlessAborted(credentials(limit.signal), limit.signal);
    const query = {
      watch: 'true',
      resourceVersion,
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(watchSeconds()),
      labelSelector,
    };
    const response = await getFromApi(given, query, limit.signal);
    for await (const lines of linesOf(response, limit, silenceMs)) yield* eventsIn(lines);
  } finally {
    limit.end();
  }
}

/** Between five and ten minutes, as client-go does (tools/cache/reflector.go), so that the watches of many do not end together. */
function watchSeconds(): number {
  return Math.round(300 * (1 + Math.random()));
}

function* eventsIn(lines: readonly string[]): Generator<readonly NodeEvent[]> {
  const events: NodeEvent[] = [];
  for (const line of lines) {
    const event = attempt(() => parseEvent(line));
    if (event instanceof Error) {
      // What was said before is good.
      if (events.length > 0) yield events;
      throw event;
    }
    events.push(event);
  }
  yield events;
}

function attempt<T>(action: () => T): T | Error {
  try {
    return action();
  } catch (error) {
    return asError(error);
  }
}

function parseEvent(line: string): NodeEvent {
  const { type, object } = parseLine(line);
  switch (type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      return { type, object: trimNode(object) };
    case 'ERROR':
      throw errorOfStatus(Number.isInteger(object.code) ? Number(object.code) : 500, object);
    default:
      throw new Error('the API tells an event of an unknown type');
  }
}

function parseLine(line: string): WatchEvent {
  try {
    const event = JSON.parse(line) as WatchEvent | null;
    if (typeof event?.object === 'object' && (event.object as unknown) !== null) return event;
  } catch {
    // What a parser says would quote the line.
  }
  throw new Error('the API tells something that is no event');
}
