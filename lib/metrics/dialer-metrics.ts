import { register, type Registry } from 'prom-client';
import { InvalidOptionError } from '../errors.js';
import { EventMetrics } from './event-metrics.js';
import { fleetSeries } from './fleet-series.js';
import type { MonitoredDialer } from './monitored-dialer.js';
import { nodeSeries } from './node-series.js';
import { checkMetricsOptions, checkMonitoredDialer, type DialerMetricsOptions } from './options.js';
import { metricOf, oncePerTurn } from './series.js';

/** Metrics of a dialer, in their registry until they are closed. */
export interface DialerMetrics extends Disposable {
  /** Takes the metrics out of the registry and stops counting. The dialer goes on. */
  close(): void;
}

/**
 * Prometheus metrics of a dialer, by prom-client. What the dialer looks like is read off its `status()` when somebody scrapes; dials and
 * attempts to connect are counted from now on. They are the dialer's own, however many there are in the process.
 *
 * The metrics stay when the dialer is closed, and keep it in memory, until they are closed themselves.
 *
 * @example
 * ```ts
 * const metrics = dialerMetrics(dialer);
 * createServer(async (_, response) => response.end(await register.metrics())).listen(9464);
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`, also when the registry has a metric of one of the names
 */
export function dialerMetrics(dialer: MonitoredDialer, options: DialerMetricsOptions = {}): DialerMetrics {
  checkMonitoredDialer(dialer);
  const { perNode, prefix, sshTunnelerNames } = checkMetricsOptions(options);
  const registry = (options.registry ?? register) as Registry;
  const events = new EventMetrics(dialer, { prefix, sshTunnelerNames });
  const status = oncePerTurn(() => dialer.status());
  const series = perNode ? [...fleetSeries, ...nodeSeries] : fleetSeries;
  const metrics = [...events.metrics, ...series.map((each) => metricOf(each, prefix, status))];

  const taken = metrics.find(({ name }) => registry.getSingleMetric(name) !== undefined);
  if (taken !== undefined) {
    throw new InvalidOptionError(
      'registry',
      `has a metric named ${taken.name} already; close() the metrics that were there before, or give this dialer a registry or a prefix ` +
        'of its own, and one of them sshTunnelerNames: false',
    );
  }
  for (const { metric } of metrics) registry.registerMetric(metric);
  events.start();

  const close = (): void => {
    events.stop();
    for (const { name, metric } of metrics) {
      // The registry may have been cleared, and have others of that name by now.
      if (registry.getSingleMetric(name) === metric) registry.removeSingleMetric(name);
    }
  };
  return { close, [Symbol.dispose]: close };
}
