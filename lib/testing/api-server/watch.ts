import type { ServerResponse } from 'node:http';
import { apiVersionOf, type ApiObject, type Resource } from './objects.js';
import type { Matches } from './selectors.js';
import type { Change, Store } from './store.js';
import { ApiRefusal } from './status.js';

interface WatchRequest {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly matches: Matches;
  readonly query: URLSearchParams;
}

/** How often a watch that wants bookmarks gets one; a kube-apiserver sends them about once a minute. */
const BOOKMARK_MS = 30_000;
/** As long as a watch may last that does not say so. */
const MAX_SECONDS = 3600;

/** Tells what changes, from the version asked for on, until the client leaves or its time is up. */
export function watch(
  store: Store,
  { resource, namespace, matches, query }: WatchRequest,
  response: ServerResponse,
): void {
  const from = query.get('resourceVersion') ?? '';
  const past = from === '' || from === '0' ? undefined : store.since(versionOf(from));
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  const send = (type: string, object: unknown): void =>
    void response.write(`${JSON.stringify({ type, object })}\n`);
  const tell = (change: Change): void => {
    if (change.resource !== resource) return;
    const { before, after } = change;
    const was = isWanted(before);
    const is = isWanted(after);
    // As a watch with a selector sees it: an object that matches no longer is deleted.
    if (is) send(was ? 'MODIFIED' : 'ADDED', after);
    else if (was) send('DELETED', before);
  };
  const isWanted = (object: ApiObject | undefined): boolean =>
    object !== undefined &&
    (namespace === undefined || object.metadata.namespace === namespace) &&
    matches(object);
  if (past === undefined)
    for (const object of store.list(resource, namespace).filter(matches)) send('ADDED', object);
  else for (const change of past) tell(change);
  const unfollow = store.follow(tell);
  const bookmark = (): void => {
    const metadata = { resourceVersion: String(store.version) };
    send('BOOKMARK', { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata });
  };
  const wantsBookmarks = query.get('allowWatchBookmarks') === 'true';
  const ticking = wantsBookmarks ? setInterval(bookmark, BOOKMARK_MS) : undefined;
  const seconds = Math.min(Number(query.get('timeoutSeconds') ?? MAX_SECONDS) || MAX_SECONDS, MAX_SECONDS);
  const timer = setTimeout(() => response.end(), seconds * 1000);
  response.once('close', () => {
    unfollow();
    clearInterval(ticking);
    clearTimeout(timer);
  });
}

/** @throws {@link ApiRefusal} 400 */
export function versionOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ApiRefusal(400, 'BadRequest', `invalid resource version ${JSON.stringify(text)}`);
}
