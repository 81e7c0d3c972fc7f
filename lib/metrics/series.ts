import { Counter, Gauge, type Metric } from 'prom-client';
import type { MonitoredStatus } from './monitored-dialer.js';

/** A value, and the labels that it stands under. */
export type Sample = readonly [value: number, labels: Readonly<Record<string, string>>];

/** A metric that is read off the dialer's status whenever somebody asks. */
export interface Series {
  readonly type: 'counter' | 'gauge';
  /** Without the prefix. */
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly read: (status: MonitoredStatus) => Iterable<Sample>;
}

/** A metric of prom-client, and the name to register it by. */
export interface NamedMetric {
  readonly name: string;
  readonly metric: Metric;
}

/** Makes a series a metric of prom-client that is not registered yet. What `read` does not give any more is gone from it. */
export function metricOf(series: Series, prefix: string, status: () => MonitoredStatus): NamedMetric {
  const { type, help, labels, read } = series;
  const name = `${prefix}${series.name}`;
  const configuration = { name, help, labelNames: [...labels], registers: [] };
  if (type === 'gauge') {
    const gauge: Gauge = new Gauge({
      ...configuration,
      collect: () => {
        gauge.reset();
        for (const [value, label] of read(status())) gauge.set(label, value);
      },
    });
    return { name, metric: gauge };
  }
  const counter: Counter = new Counter({
    ...configuration,
    collect: () => {
      counter.reset();
      for (const [value, label] of read(status())) counter.inc(label, value);
    },
  });
  return { name, metric: counter };
}

/** One status for all metrics of a scrape, which prom-client reads in one go: that of a thousand nodes is no small thing. */
export function oncePerTurn<T>(read: () => T): () => T {
  let latest: { readonly value: T } | undefined;
  return () => {
    if (latest === undefined) {
      latest = { value: read() };
      queueMicrotask(() => (latest = undefined));
    }
    return latest.value;
  };
}
