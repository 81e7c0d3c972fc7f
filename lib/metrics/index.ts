export { dialerMetrics, type DialerMetrics } from './dialer-metrics.js';
export type { DialerMetricsOptions } from './options.js';
export type { MonitoredDialer, MonitoredNode, MonitoredStatus } from './monitored-dialer.js';
