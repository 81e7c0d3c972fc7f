import { setTimeout as delay } from 'node:timers/promises';
import { Backoff } from '../backoff.js';
import { debug } from '../diagnostics.js';
import { asError } from '../errors.js';
import type { NodeUpdate } from '../fleet/node-source.js';
import { withAdvice } from './advice.js';
import { ApiError } from './api-request.js';
import type { ClusterAccess, CredentialSource } from './cluster-access.js';
import { KnownNodes } from './known-nodes.js';
import { listNodes, type ListOptions } from './list-nodes.js';
import type { NodeReading } from './node-spec.js';
import { watchNodes, type NodeEvent, type WatchOptions } from './watch-nodes.js';

export interface FollowOptions extends NodeReading, ListOptions, WatchOptions {
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

/**
 * Lists the Nodes and watches them from there on, until the signal is aborted.
 *
 * ```
 *        ┌──────────── back-off ◀──── failure: an Error is told
 *        ▼                               ▲      ▲
 *      list ─────────────────────────────┘      │
 *        │  the nodes are told                  │
 *        ▼                                      │
 *      watch ───────────────────────────────────┘
 *       ▲ │ └── 410 Gone: back-off, then list; nothing is told, for the list will be
 *       └─┘ clean end: a short wait, then watch
 * ```
 */
export async function* followNodes(
  access: ClusterAccess,
  options: FollowOptions,
  signal: AbortSignal,
): AsyncGenerator<NodeUpdate, void, undefined> {
  const known = new KnownNodes(options);
  const fresh = Backoff.create({ minMs: options.retryMinMs, maxMs: options.retryMaxMs });
  let backoff = fresh;
  /** Whether what was told last is still so. */
  let isTold = false;
  const isOver = (): boolean => signal.aborted;
  while (!isOver()) {
    let isListed = false;
    try {
      const credentials = access();
      const { isChanged, resourceVersion } = await relist(credentials, known, options, signal);
      isListed = true;
      if (isChanged || !isTold) yield known.update;
      isTold = true;
      let version = resourceVersion;
      for (;;) {
        for await (const events of watchNodes(credentials, version, options, signal)) {
          backoff = fresh;
          version = events.at(-1)?.object.metadata?.resourceVersion ?? version;
          if (apply(events, known)) yield known.update;
        }
        // A server that ends every watch at once must not be asked without a break.
        backoff = backoff.next();
        await pause(backoff, signal);
        if (isOver()) return;
      }
    } catch (error) {
      if (isOver()) return;
      const failure = withAdvice(asError(error));
      debug.kubernetes('%s', failure.message);
      const isGone = failure instanceof ApiError && failure.isGone;
      if (!(isGone && isListed)) {
        isTold = false;
        yield failure;
      }
      backoff = backoff.next();
      await pause(backoff, signal);
    }
  }
}

/** Apart from the generator, which would keep what was listed for as long as it watches. */
async function relist(
  credentials: CredentialSource,
  known: KnownNodes,
  options: FollowOptions,
  signal: AbortSignal,
): Promise<{ readonly isChanged: boolean; readonly resourceVersion: string }> {
  const { nodes, resourceVersion } = await listNodes(credentials, options, signal);
  return { isChanged: known.replace(nodes), resourceVersion };
}

/** Returns whether something has changed. */
function apply(events: readonly NodeEvent[], known: KnownNodes): boolean {
  let isChanged = false;
  for (const { type, object } of events) {
    if (type === 'BOOKMARK') continue;
    const changes = type === 'DELETED' ? known.delete(object) : known.put(object);
    isChanged ||= changes;
  }
  return isChanged;
}

/** Waits for what is left of the back-off, or for the signal. */
async function pause({ delayMs }: Backoff, signal: AbortSignal): Promise<void> {
  await delay(delayMs, undefined, { signal }).catch(() => undefined);
}
