import { InvalidOptionError } from '../../errors.js';
import {
  arrayOf,
  callable,
  describeKind,
  describeValue,
  host,
  integer,
  milliseconds,
  objectOf,
  optional,
  withDefault,
  type Check,
} from '../../validation.js';
import type { ObservableDialer } from './observed.js';

/** Whatever can tell metrics as text, such as the `Registry` of prom-client. */
export interface MetricsRegistry {
  /** The media type of what `metrics()` tells. */
  readonly contentType: string;
  metrics(): Promise<string>;
}

/** Options of {@link statusHandler}. */
export interface StatusHandlerOptions {
  /** Where the handler is mounted, such as `/tunnels`, if the server leaves that in `request.url`. Default: the root. */
  prefix?: string | undefined;
  /**
   * Names that the page, `/statusz` and `/events` may be asked for by, such as `tunnels.example.com`, beside IP addresses, `localhost` and
   * the name of this machine; requests for another host are answered with 403. Case and ports do not matter. Default: none.
   */
  hosts?: readonly string[] | undefined;
  /** How long the source of the nodes may have failed before `/readyz` does, in milliseconds. Default: 300 000. */
  staleAfterMs?: number | undefined;
  /** What `/metrics` answers with. Default: 404. */
  metrics?: MetricsRegistry | undefined;
  /** How often changes that no event tells of, such as round trips, reach the page, in milliseconds. Default: 2 000. */
  refreshMs?: number | undefined;
  /** How long the stream of events may be silent, in milliseconds. Default: 15 000. */
  heartbeatMs?: number | undefined;
  /** How many streams of events may be open at once; further ones are answered with 503. Default: 64. */
  maxStreams?: number | undefined;
  /** Told of every error that a request was answered with 500 for; the answer itself does not show it. */
  onError?: ((error: unknown) => void) | undefined;
}

const prefix: Check<string> = (value, path) => {
  if (value === '' || value === '/') return '';
  if (typeof value === 'string' && /^(\/[\w.~!$&'()*+,;=:@%-]+)+\/?$/.test(value)) {
    return value.replace(/\/$/, '');
  }
  throw new InvalidOptionError(
    path,
    `must be a path as it stands in a URL, such as /tunnels, got ${describeValue(value)}`,
  );
};

const registry: Check<MetricsRegistry> = (value, path) => {
  const { contentType, metrics } = (value ?? {}) as Partial<MetricsRegistry>;
  if (typeof contentType === 'string' && typeof metrics === 'function') return value as MetricsRegistry;
  throw new InvalidOptionError(
    path,
    `must have a contentType and a metrics() as a prom-client Registry has, got ${describeKind(value)}`,
  );
};

const checkShape = objectOf({
  prefix: withDefault(prefix, ''),
  hosts: withDefault(arrayOf(host), []),
  staleAfterMs: withDefault(milliseconds(), 300_000),
  metrics: optional(registry),
  refreshMs: withDefault(milliseconds(100), 2_000),
  heartbeatMs: withDefault(milliseconds(100), 15_000),
  maxStreams: withDefault(integer(1, 10_000), 64),
  onError: optional(callable as Check<(error: unknown) => void>),
} satisfies Record<keyof StatusHandlerOptions, Check<unknown>>);

export type CheckedStatusOptions = ReturnType<typeof checkShape>;

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkStatusOptions(options: StatusHandlerOptions): CheckedStatusOptions {
  return checkShape(options, '');
}

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkObservable(dialer: unknown): asserts dialer is ObservableDialer {
  const { status, on, off } = (dialer ?? {}) as Partial<ObservableDialer>;
  if ([status, on, off].every((method) => typeof method === 'function')) return;
  throw new InvalidOptionError(
    'dialer',
    `must have status(), on() and off() as a TunnelDialer has, got ${describeKind(dialer)}`,
  );
}
