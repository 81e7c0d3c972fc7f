import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Counter, Histogram } from 'prom-client';
import type { DiagnosticsMessages } from '../diagnostics-events.js';
import type { Dialer } from '../dialer.js';
import { reasonOf } from './reason.js';
import type { NamedMetric } from './series.js';

/** From a channel on a connection that is there, over a cold handshake, to the deadline of a dial; in seconds. */
const DIAL_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

export interface EventMetricsOptions {
  readonly prefix: string;
  /** Whether there are SSHTunneler's names. */
  readonly sshTunnelerNames: boolean;
}

type Handlers = {
  readonly [Name in keyof DiagnosticsMessages]?: (message: DiagnosticsMessages[Name]) => void;
};

/** What only events tell: counted from those messages of `node:diagnostics_channel` that are of one dialer. */
export class EventMetrics {
  readonly #metrics: NamedMetric[] = [];
  readonly #subscriptions: readonly (readonly [name: string, listener: (message: unknown) => void])[];

  constructor(dialer: Dialer, options: EventMetricsOptions) {
    this.#subscriptions = Object.entries(this.#handlers(options)).map(([name, handle]) => {
      const listener = (message: unknown): void => {
        const isOurs = (message as { readonly dialer: Dialer }).dialer === dialer;
        if (isOurs) (handle as (message: unknown) => void)(message);
      };
      return [name, listener];
    });
  }

  /** They are not registered yet. */
  get metrics(): readonly NamedMetric[] {
    return this.#metrics;
  }

  start(): void {
    for (const [name, listener] of this.#subscriptions) subscribe(name, listener);
  }

  stop(): void {
    for (const [name, listener] of this.#subscriptions) unsubscribe(name, listener);
  }

  #handlers({ prefix, sshTunnelerNames }: EventMetricsOptions): Handlers {
    const byResult = ['result', 'reason'];
    const dials = this.#counter(`${prefix}dials_total`, 'Dials by result, failed ones by code', byResult);
    const durations = this.#durations(`${prefix}dial_duration_seconds`);
    const help = 'Attempts to connect to nodes by result, failed ones by code';
    const connects = this.#counter(`${prefix}connects_total`, help, byResult);
    const reconnects = this.#counter(
      `${prefix}reconnects_total`,
      'Connections to nodes that became ready after one was lost, or an attempt failed',
    );
    const lost = this.#counter(`${prefix}connections_lost_total`, 'Connections to nodes that were lost');
    // SSHTunneler counted attempts to connect, when they were over, not dials.
    const opens = sshTunnelerNames
      ? this.#counter('ssh_tunnel_open_count', 'Attempts to connect to nodes')
      : undefined;
    const openFailures = sshTunnelerNames
      ? this.#counter('ssh_tunnel_open_fail_count', 'Attempts to connect to nodes that failed')
      : undefined;
    // So that there is a first value for rates to grow from.
    dials.inc({ result: 'ok' }, 0);
    connects.inc({ result: 'ok' }, 0);

    return {
      'tunnel-dialer:dial:end': ({ durationMs }) => {
        dials.inc({ result: 'ok' });
        durations.observe({ result: 'ok' }, durationMs / 1000);
      },
      'tunnel-dialer:dial:error': ({ error, durationMs }) => {
        dials.inc({ result: 'error', reason: reasonOf(error) });
        durations.observe({ result: 'error' }, durationMs / 1000);
      },
      'tunnel-dialer:connection:ready': ({ isReconnect }) => {
        connects.inc({ result: 'ok' });
        if (isReconnect) reconnects.inc();
        opens?.inc();
      },
      'tunnel-dialer:connection:failed': ({ error }) => {
        connects.inc({ result: 'error', reason: reasonOf(error) });
        opens?.inc();
        openFailures?.inc();
      },
      'tunnel-dialer:connection:lost': () => lost.inc(),
    };
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    const metric = new Counter({ name, help, labelNames, registers: [] });
    this.#metrics.push({ name, metric });
    return metric;
  }

  #durations(name: string): Histogram {
    const help = 'How long dials took';
    const metric = new Histogram({
      name,
      help,
      labelNames: ['result'],
      buckets: DIAL_BUCKETS,
      registers: [],
    });
    this.#metrics.push({ name, metric });
    return metric;
  }
}
