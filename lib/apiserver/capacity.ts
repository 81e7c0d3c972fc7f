import { integer, objectOf, withDefault, type Check } from '../validation.js';
import type { ProxyResponse } from './exchange.js';
import { StatusError } from './status-error.js';

/** How many requests there may be at once. */
export interface CapacityOptions {
  /**
   * Requests that are the upstream's to answer, without watches and upgrades. Default: 600, which is what kube-apiserver answers at once
   * (`--max-requests-inflight` 400, `--max-mutating-requests-inflight` 200).
   */
  maxRequests?: number | undefined;
  /**
   * Watches, upgrades, and requests that need a node: what kube-apiserver takes for long-running, and sets no bound to. Default: 10 000.
   */
  maxLongRunning?: number | undefined;
}

/** What may never end is `long-running`. */
export type RequestKind = 'short' | 'long-running';

/** An answer, all of which may have been said while the client has yet to take it. */
type Answer = Pick<ProxyResponse, 'writableEnded'>;

interface Place {
  /** An upgrade has none. */
  readonly answer: Answer | undefined;
  readonly since: number;
}

const bound = integer(1, 1_000_000);

const checkOptions = objectOf({
  maxRequests: withDefault(bound, 600),
  maxLongRunning: withDefault(bound, 10_000),
} satisfies Record<keyof CapacityOptions, Check<unknown>>);

/** What takes longer is long-running, whatever it says it is: kube-apiserver ends it then (`--request-timeout`). */
const SHORT_MS = 60_000;

/** As kube-apiserver says it (k8s.io/apiserver, pkg/server/filters/maxinflight.go). */
const RETRY_AFTER_SECONDS = 1;

/**
 * Bounds how many requests are under way at once, those that may never end apart from all others, so that neither keeps the other out. A
 * client that does not read its answer, or sends its body a byte at a time, does not keep its place among the short ones for long.
 */
export class Capacity {
  readonly #limits: ReturnType<typeof checkOptions>;
  readonly #now: () => number;
  /** In the order in which they came. */
  readonly #short = new Set<Place>();
  readonly #long = new Set<Place>();

  /**
   * @param now - milliseconds that only grow. Default: `performance.now`
   * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
   */
  constructor(options: CapacityOptions = {}, now: () => number = () => performance.now()) {
    this.#limits = checkOptions(options, '');
    this.#now = now;
  }

  /**
   * Serves a request, if there is room for it.
   *
   * @param answer - to it; an upgrade has none
   * @throws {@link StatusError} 429 if there is none; what `serve` throws
   */
  async run(kind: RequestKind, answer: Answer | undefined, serve: () => Promise<void>): Promise<void> {
    const isRoom = kind === 'short' ? this.#hasRoomForShort() : this.#hasRoomForLong();
    if (!isRoom) throw tooManyRequests();
    const place = { answer, since: this.#now() };
    (kind === 'short' ? this.#short : this.#long).add(place);
    try {
      await serve();
    } finally {
      this.#short.delete(place);
      this.#long.delete(place);
    }
  }

  #hasRoomForShort(): boolean {
    const { maxRequests } = this.#limits;
    if (this.#short.size < maxRequests || forgetAnswered(this.#short)) return true;
    const [oldest] = this.#short;
    if (oldest === undefined || this.#now() - oldest.since < SHORT_MS || !this.#hasRoomForLong())
      return false;
    this.#short.delete(oldest);
    this.#long.add(oldest);
    return true;
  }

  #hasRoomForLong(): boolean {
    return this.#long.size < this.#limits.maxLongRunning || forgetAnswered(this.#long);
  }
}

/** Nothing of what is bounded here is left of a request that has all of its answer: no tunnel, and no connection to the upstream. */
function forgetAnswered(places: Set<Place>): boolean {
  for (const place of places) if (place.answer?.writableEnded === true) return places.delete(place);
  return false;
}

/** A refusal that a client may try again after, as clients of Kubernetes do by themselves. */
export function tooManyRequests(): StatusError {
  const message = 'Too many requests, please try again later.';
  return new StatusError(429, 'TooManyRequests', message, {
    details: { retryAfterSeconds: RETRY_AFTER_SECONDS },
  });
}

/** Whether it is a watch (k8s.io/apiserver, pkg/endpoints/request, RequestInfo), which the upstream answers without end. */
export function isWatch(path: string, search: string): boolean {
  if (/^\/(?:api\/[^/]+|apis\/[^/]+\/[^/]+)\/watch\//.test(path)) return true;
  const watch = search !== '' ? new URLSearchParams(search).get('watch') : null;
  // As apimachinery reads booleans in a query.
  return watch !== null && !/^(false|0)$/i.test(watch);
}
