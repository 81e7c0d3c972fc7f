import type { Registry, RegistryContentType } from 'prom-client';
import { InvalidOptionError } from '../errors.js';
import {
  boolean,
  describeKind,
  describeValue,
  objectOf,
  optional,
  withDefault,
  type Check,
} from '../validation.js';
import type { MonitoredDialer } from './monitored-dialer.js';

/** Options of {@link dialerMetrics}. */
export interface DialerMetricsOptions {
  /** Where to register the metrics. Default: prom-client's own `register`. */
  registry?: Registry<RegistryContentType> | undefined;
  /**
   * Whether there are series for each node, too. They are 13 per node, two more of one that is probed, one more where `ssh.installKey` is.
   * Default: false.
   */
  perNode?: boolean | undefined;
  /** What the names begin with. Dialers that share a registry need one each. Default: `tunnel_dialer_`. */
  prefix?: string | undefined;
  /**
   * Whether `ssh_tunnel_open_count` and `ssh_tunnel_open_fail_count` are there, as they were in kube-apiserver with SSHTunneler. They have
   * no prefix, so that only one dialer of a registry can have them. Default: true.
   */
  sshTunnelerNames?: boolean | undefined;
}

const registry: Check<unknown> = (value, path) => {
  const { registerMetric, getSingleMetric } = (value ?? {}) as Partial<Registry>;
  if (typeof registerMetric === 'function' && typeof getSingleMetric === 'function') return value;
  throw new InvalidOptionError(path, `must be a Registry of prom-client, got ${describeKind(value)}`);
};

/** As Prometheus takes it, but for `:`, which is reserved for recording rules. */
const prefix: Check<string> = (value, path) => {
  if (typeof value === 'string' && /^[A-Za-z_][A-Za-z0-9_]*$/.test(value)) return value;
  throw new InvalidOptionError(
    path,
    `must be letters, digits and underscores, with no digit first, got ${describeValue(value)}`,
  );
};

const check = objectOf({
  registry: optional(registry),
  perNode: withDefault(boolean, false),
  prefix: withDefault(prefix, 'tunnel_dialer_'),
  sshTunnelerNames: withDefault(boolean, true),
} satisfies Record<keyof DialerMetricsOptions, Check<unknown>>);

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export const checkMetricsOptions = (options: DialerMetricsOptions): ReturnType<typeof check> =>
  check(options, '');

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkMonitoredDialer(dialer: unknown): asserts dialer is MonitoredDialer {
  if (typeof (dialer as Partial<MonitoredDialer> | null | undefined)?.status === 'function') return;
  throw new InvalidOptionError(
    'dialer',
    `must have a status() as a TunnelDialer has, got ${describeKind(dialer)}`,
  );
}
