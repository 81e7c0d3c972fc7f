import { InvalidOptionError } from '../errors.js';
import {
  callable,
  describeKind,
  integer,
  milliseconds,
  objectOf,
  oneOf,
  optional,
  type Check,
} from '../validation.js';
import type { Access } from './access.js';
import type { ApiserverProxyOptions } from './apiserver-proxy.js';
import type { ApiserverPartsOptions } from './parts.js';
import type { Resolver } from './resolver.js';

/** Whoever takes it checks it. */
const checkedLater: Check<unknown> = (value) => value;

function withMethods<T>(...methods: readonly (keyof T & string)[]): Check<T> {
  return (value, path) => {
    const given = (value ?? {}) as Record<string, unknown>;
    if (methods.every((name) => typeof given[name] === 'function')) return value as T;
    const needed = methods.map((name) => `${name}()`).join(', ');
    throw new InvalidOptionError(path, `must be an object with ${needed}, got ${describeKind(value)}`);
  };
}

const PARTS = {
  upstream: checkedLater,
  kubelet: checkedLater,
  lookupsAs: optional(oneOf('caller', 'proxy')),
  clientCertificateAuthority: checkedLater,
  lookupCacheMs: optional(milliseconds()),
  maxNodes: optional(integer(1, 100_000)),
  maxRequests: optional(integer(1, 1_000_000)),
  maxLongRunning: optional(integer(1, 1_000_000)),
  access: optional(withMethods<Access>('authenticate', 'authorize')),
  resolver: optional(withMethods<Resolver>('node', 'pod', 'service', 'endpoints')),
} satisfies Record<keyof ApiserverPartsOptions, Check<unknown>>;

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkPartsOptions(options: unknown): void {
  objectOf(PARTS)(options, '');
}

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkProxyOptions(options: unknown): void {
  const checks = { ...PARTS, onAnswer: optional(callable) };
  objectOf(checks satisfies Record<keyof ApiserverProxyOptions, Check<unknown>>)(options, '');
}
