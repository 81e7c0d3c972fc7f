import { expect } from 'chai';
import { hasSubscribers } from 'node:diagnostics_channel';
import { once } from 'node:events';
import sinon from 'sinon';
import { Registry, register, type OpenMetricsContentType } from 'prom-client';
import { InvalidOptionError } from '../../lib/errors.js';
import { dialerMetrics, type DialerMetricsOptions, type MonitoredDialer } from '../../lib/metrics/index.js';
import type { SshNode } from '../../lib/testing/index.js';
import { eventNames } from '../support/diagnostics.js';
import { Lab, rejection, roundTrip, until, type Endpoint } from '../support/dialer.js';
import { scrape, startingWith } from './scrape.js';

const never = { minMs: 60_000, maxMs: 60_000 };

describe('dialerMetrics', () => {
  let lab: Lab;
  let node: SshNode;
  let endpoint: Endpoint;
  let registry: Registry;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node();
    endpoint = await lab.endpoint();
    registry = new Registry();
  });

  afterEach(async () => {
    await lab.end();
    for (const name of eventNames) expect(hasSubscribers(name), name).to.equal(false);
  });

  function watch(dialer: MonitoredDialer, options: DialerMetricsOptions = {}) {
    const metrics = dialerMetrics(dialer, { registry, ...options });
    lab.onEnd(() => metrics.close());
    return metrics;
  }

  describe('dials', () => {
    it('are counted by result and code, and their durations observed', async () => {
      const dialer = lab.dialer([node]);
      watch(dialer);
      expect(startingWith(await scrape(registry), 'tunnel_dialer_dials_total')).to.deep.equal({
        'tunnel_dialer_dials_total{result="ok"}': 0,
      });
      await dialer.dial('127.0.0.1', endpoint.port);
      await dialer.dial('127.0.0.1', endpoint.port);
      node.faults.refuse({ reason: 2 });
      await rejection(dialer.dial('127.0.0.1', endpoint.port));
      node.faults.refuse({ reason: 1 });
      await rejection(dialer.dial('127.0.0.1', endpoint.port));
      await rejection(dialer.dial('127.0.0.1', 1, { node: 'nobody' }));
      const scraped = await scrape(registry);
      expect(startingWith(scraped, 'tunnel_dialer_dials_total')).to.deep.equal({
        'tunnel_dialer_dials_total{result="ok"}': 2,
        'tunnel_dialer_dials_total{result="error",reason="ECONNREFUSED"}': 1,
        'tunnel_dialer_dials_total{result="error",reason="ERR_TUNNEL_PROHIBITED"}': 1,
        'tunnel_dialer_dials_total{result="error",reason="ERR_TUNNEL_NO_ROUTE"}': 1,
      });
      const durations = startingWith(scraped, 'tunnel_dialer_dial_duration_seconds');
      expect(durations).to.include({
        'tunnel_dialer_dial_duration_seconds_count{result="ok"}': 2,
        'tunnel_dialer_dial_duration_seconds_count{result="error"}': 3,
        'tunnel_dialer_dial_duration_seconds_bucket{le="+Inf",result="ok"}': 2,
      });
      expect(durations['tunnel_dialer_dial_duration_seconds_sum{result="ok"}']).to.be.above(0);
    });

    it('that fail with whatever the caller has thought of are all one reason', async () => {
      const dialer = lab.dialer([node]);
      watch(dialer);
      const reasons = [
        new Error('1'),
        Object.assign(new Error('2'), { code: 'MADE_UP' }),
        'text',
        { code: 7 },
        { code: 'constructor' },
      ];
      for (const reason of reasons) {
        await rejection(dialer.dial('127.0.0.1', 1, { signal: AbortSignal.abort(reason) }));
      }
      expect(startingWith(await scrape(registry), 'tunnel_dialer_dials_total{result="error"')).to.deep.equal({
        'tunnel_dialer_dials_total{result="error",reason="other"}': reasons.length,
      });
    });

    it('of other dialers are not among them', async () => {
      const [ours, other] = [lab.dialer([node]), lab.dialer([node])];
      const others = new Registry();
      watch(ours);
      watch(other, { registry: others });
      await ours.dial('127.0.0.1', endpoint.port);
      await other.dial('127.0.0.1', endpoint.port);
      await other.dial('127.0.0.1', endpoint.port);
      for (const [from, count] of [
        [registry, 1],
        [others, 2],
      ] as const) {
        const scraped = await scrape(from);
        expect(scraped.get('tunnel_dialer_dials_total{result="ok"}')).to.equal(count);
        expect(scraped.get('tunnel_dialer_connects_total{result="ok"}')).to.equal(1);
        expect(scraped.get('tunnel_dialer_open_channels')).to.equal(count);
      }
    });
  });

  describe('the fleet', () => {
    it('shows its nodes, connections, channels and bytes', async () => {
      const idle = await lab.node({ name: 'idle' });
      const dialer = lab.dialer([node, idle], { pool: { minConnections: 0 } });
      watch(dialer);
      await roundTrip(await dialer.dial('127.0.0.1', endpoint.port, { node: 'node-1' }), 'x'.repeat(5_000));
      const scraped = await scrape(registry);
      expect(startingWith(scraped, 'tunnel_dialer_nodes')).to.deep.equal({
        'tunnel_dialer_nodes{state="idle"}': 1,
        'tunnel_dialer_nodes{state="connecting"}': 0,
        'tunnel_dialer_nodes{state="ready"}': 1,
        'tunnel_dialer_nodes{state="degraded"}': 0,
        'tunnel_dialer_nodes{state="down"}': 0,
      });
      expect(startingWith(scraped, 'tunnel_dialer_connections{')).to.deep.equal({
        'tunnel_dialer_connections{state="connecting"}': 0,
        'tunnel_dialer_connections{state="ready"}': 1,
        'tunnel_dialer_connections{state="draining"}': 0,
      });
      expect(scraped.get('tunnel_dialer_open_channels')).to.equal(1);
      expect(scraped.get('tunnel_dialer_waiting_dials')).to.equal(0);
      expect(scraped.get('tunnel_dialer_received_bytes_total')).to.be.above(5_000);
      expect(scraped.get('tunnel_dialer_sent_bytes_total')).to.be.above(5_000);
    });

    it('shows dials that wait for a channel', async () => {
      const dialer = lab.dialer([node], { pool: { maxConnections: 1, maxChannelsPerConnection: 1 } });
      watch(dialer);
      const first = await dialer.dial('127.0.0.1', endpoint.port);
      const second = dialer.dial('127.0.0.1', endpoint.port);
      expect((await scrape(registry)).get('tunnel_dialer_waiting_dials')).to.equal(1);
      first.destroy();
      await second;
      expect((await scrape(registry)).get('tunnel_dialer_waiting_dials')).to.equal(0);
    });

    it('counts connections made, failed and lost, by our names and by those of SSHTunneler', async () => {
      const dialer = lab.dialer([node], { reconnect: never });
      watch(dialer);
      const errored = once(await dialer.dial('127.0.0.1', endpoint.port), 'error');
      node.faults.rejectKey();
      node.cut('rst');
      await errored;
      await until('the failure', () => dialer.status().nodes[0]?.state === 'down');
      const scraped = await scrape(registry);
      expect(startingWith(scraped, 'tunnel_dialer_conne')).to.include({
        'tunnel_dialer_connects_total{result="ok"}': 1,
        'tunnel_dialer_connects_total{result="error",reason="ERR_TUNNEL_AUTH"}': 1,
        tunnel_dialer_connections_lost_total: 1,
      });
      expect(startingWith(scraped, 'ssh_tunnel')).to.deep.equal({
        ssh_tunnel_open_count: 2,
        ssh_tunnel_open_fail_count: 1,
      });
      expect(scraped.get('tunnel_dialer_nodes{state="down"}')).to.equal(1);
    });

    it('counts it once when a node is connected to again, after a loss and after failures', async () => {
      const dialer = lab.dialer([node], { reconnect: { minMs: 1, maxMs: 2 } });
      watch(dialer);
      const reconnects = async () => (await scrape(registry)).get('tunnel_dialer_reconnects_total');
      const connected = (times: number) =>
        until('a connection', () => dialer.status().nodes[0]?.counts.connected === times);
      await dialer.ready();
      expect(await reconnects()).to.equal(0);
      node.cut('rst');
      await connected(2);
      expect(await reconnects()).to.equal(1);
      await node.stop();
      await until('failures', () => (dialer.status().nodes[0]?.counts.failed ?? 0) > 2);
      await node.start();
      await connected(3);
      expect(await reconnects()).to.equal(2);
    });

    it('does not count a connection that is made because there are more dials', async () => {
      const dialer = lab.dialer([node], { pool: { maxChannelsPerConnection: 1 } });
      watch(dialer);
      await dialer.ready();
      node.cut('rst');
      await until('the replacement', () => dialer.status().nodes[0]?.counts.connected === 2);
      await dialer.dial('127.0.0.1', endpoint.port);
      await dialer.dial('127.0.0.1', endpoint.port);
      const scraped = await scrape(registry);
      expect(scraped.get('tunnel_dialer_connects_total{result="ok"}')).to.equal(3);
      expect(scraped.get('tunnel_dialer_reconnects_total')).to.equal(1);
    });

    it('is looked at once for all metrics of a scrape', async () => {
      const dialer = lab.dialer([node]);
      let looks = 0;
      const status = dialer.status.bind(dialer);
      dialer.status = () => {
        looks += 1;
        return status();
      };
      watch(dialer, { perNode: true });
      await scrape(registry);
      expect(looks).to.equal(1);
      await scrape(registry);
      expect(looks).to.equal(2);
    });
  });

  describe('a source', () => {
    const source = (
      status: Partial<Record<'updatedAt' | 'failingSince', Date>> & { state: string; leftOut?: number },
    ) => {
      const { state, updatedAt, failingSince, leftOut } = status;
      const dialer = lab.dialer([node]);
      const told = {
        name: 'file nodes.yaml',
        state,
        ...(updatedAt && { updatedAt }),
        ...(failingSince && { failure: { since: failingSince } }),
        ...(leftOut && { leftOut: { count: leftOut } }),
      };
      return Object.assign(Object.create(dialer) as MonitoredDialer, {
        status: () => ({ ...dialer.status(), source: told }),
      });
    };

    it('shows its state, how old its nodes are and how long it has been failing', async () => {
      const [updatedAt, failingSince] = [new Date(Date.now() - 100_000), new Date(Date.now() - 50_000)];
      watch(source({ state: 'stale', updatedAt, failingSince }));
      const scraped = startingWith(await scrape(registry), 'tunnel_dialer_source');
      expect(scraped).to.include({
        'tunnel_dialer_source_state{source="file nodes.yaml",state="current"}': 0,
        'tunnel_dialer_source_state{source="file nodes.yaml",state="stale"}': 1,
      });
      expect(scraped['tunnel_dialer_source_age_seconds{source="file nodes.yaml"}']).to.be.at.least(100);
      expect(scraped['tunnel_dialer_source_failing_seconds{source="file nodes.yaml"}']).to.be.at.least(50);
    });

    it('shows how many nodes it leaves out', async () => {
      const name = 'tunnel_dialer_source_left_out_nodes{source="file nodes.yaml"}';
      const metrics = watch(source({ state: 'current', leftOut: 3 }));
      expect(startingWith(await scrape(registry), name)).to.deep.equal({ [name]: 3 });
      metrics.close();
      watch(source({ state: 'current' }));
      expect(startingWith(await scrape(registry), name)).to.deep.equal({ [name]: 0 });
    });

    it('that has not told any nodes yet has no age', async () => {
      watch(source({ state: 'waiting' }));
      // A clock that goes on with every look at it.
      let now = Date.now();
      const clock = sinon.stub(Date, 'now').callsFake(() => (now += 1000));
      lab.onEnd(() => clock.restore());
      const scraped = startingWith(await scrape(registry), 'tunnel_dialer_source');
      expect(scraped).to.not.have.any.keys('tunnel_dialer_source_age_seconds{source="file nodes.yaml"}');
      expect(scraped['tunnel_dialer_source_failing_seconds{source="file nodes.yaml"}']).to.equal(0);
    });

    it('is not there when the nodes are a list', async () => {
      watch(lab.dialer([node]));
      expect(startingWith(await scrape(registry), 'tunnel_dialer_source')).to.deep.equal({});
    });
  });

  describe('the series of each node', () => {
    it('are there only when asked for', async () => {
      const dialer = lab.dialer([node]);
      watch(dialer);
      await dialer.dial('127.0.0.1', endpoint.port);
      expect(await registry.metrics()).to.not.include('node-1');
    });

    it('show the node and the dials it carried', async () => {
      const dialer = lab.dialer([node]);
      watch(dialer, { perNode: true });
      await roundTrip(await dialer.dial('127.0.0.1', endpoint.port));
      node.faults.refuse({ reason: 2 });
      await rejection(dialer.dial('127.0.0.1', endpoint.port));
      await until('a round trip', () => dialer.status().nodes[0]?.roundTripMs !== undefined);
      const scraped = startingWith(await scrape(registry), 'tunnel_dialer_node_');
      expect(scraped).to.include({
        'tunnel_dialer_node_up{node="node-1"}': 1,
        'tunnel_dialer_node_state{node="node-1",state="ready"}': 1,
        'tunnel_dialer_node_connections{node="node-1"}': 1,
        'tunnel_dialer_node_open_channels{node="node-1"}': 1,
        'tunnel_dialer_node_waiting_dials{node="node-1"}': 0,
        'tunnel_dialer_node_connects_total{node="node-1",result="ok"}': 1,
        'tunnel_dialer_node_connects_total{node="node-1",result="error"}': 0,
        'tunnel_dialer_node_connections_lost_total{node="node-1"}': 0,
        'tunnel_dialer_node_dials_total{node="node-1",result="ok"}': 1,
        'tunnel_dialer_node_dials_total{node="node-1",result="error"}': 1,
      });
      for (const name of ['round_trip_seconds', 'received_bytes_total', 'sent_bytes_total']) {
        expect(scraped[`tunnel_dialer_node_${name}{node="node-1"}`], name).to.be.above(0);
      }
    });

    it('show a degraded node as up, and its round trip in seconds', async () => {
      const dialer = lab.dialer([node]);
      const [status] = dialer.status().nodes;
      const seen = { ...status!, state: 'degraded', roundTripMs: 250 } as const;
      dialer.status = () => ({ state: 'open', nodes: [seen], bytes: seen.bytes });
      watch(dialer, { perNode: true });
      expect(startingWith(await scrape(registry), 'tunnel_dialer_node_')).to.include({
        'tunnel_dialer_node_up{node="node-1"}': 1,
        'tunnel_dialer_node_state{node="node-1",state="degraded"}': 1,
        'tunnel_dialer_node_round_trip_seconds{node="node-1"}': 0.25,
      });
    });

    it('begin anew with a node that was gone when somebody looked', async () => {
      const other = await lab.node({ name: 'other' });
      const dialer = lab.dialer([node, other]);
      watch(dialer, { perNode: true });
      const dials = async () =>
        (await scrape(registry)).get('tunnel_dialer_node_dials_total{node="node-1",result="ok"}');
      (await dialer.dial('127.0.0.1', endpoint.port, { node: 'node-1' })).destroy();
      expect(await dials()).to.equal(1);
      dialer.update([other.spec]);
      expect(await dials()).to.equal(undefined);
      dialer.update([node.spec, other.spec]);
      expect(await dials()).to.equal(0);
    });

    it('show how far the key is installed, on each node and at worst', async () => {
      const other = await lab.node({ name: 'other' });
      const fine = lab.dialer([node, other]);
      const [now, ago] = [new Date(), new Date(Date.now() - 900_000)];
      const lagging = Object.assign(Object.create(fine) as MonitoredDialer, {
        status: () => {
          const { nodes, ...rest } = fine.status();
          const lags = nodes.map((one) => ({
            ...one,
            keyInstall: { lagSince: one.name === 'other' ? ago : now },
          }));
          return { ...rest, nodes: lags };
        },
      });
      const metrics = watch(fine, { perNode: true });
      const without = [...(await scrape(registry))].filter(([name]) => name.includes('key_install'));
      expect(without).to.deep.equal([['tunnel_dialer_key_install_lag_seconds', 0]]);
      metrics.close();
      watch(lagging, { perNode: true });
      const scraped = await scrape(registry);
      expect(scraped.get('tunnel_dialer_key_install_lag_seconds')).to.be.at.least(900);
      expect(scraped.get('tunnel_dialer_node_key_install_lag_seconds{node="other"}')).to.be.at.least(900);
      expect(scraped.get('tunnel_dialer_node_key_install_lag_seconds{node="node-1"}')).to.be.below(900);
    });

    it('show the probes, of each node and of all', async () => {
      const dialer = lab.dialer([node], {
        health: { probe: { kind: 'tcp', port: endpoint.port, intervalMs: 10 } },
      });
      watch(dialer, { perNode: true });
      expect([...(await scrape(registry)).keys()].filter((name) => name.includes('probe'))).to.deep.equal([]);
      await until('a probe', () => dialer.status().nodes[0]?.probe?.ok === true);
      const scraped = await scrape(registry);
      expect(scraped.get('tunnel_dialer_node_probe_ok{node="node-1"}')).to.equal(1);
      expect(scraped.get('tunnel_dialer_node_probe_duration_seconds{node="node-1"}')).to.be.above(0);
      expect(startingWith(scraped, 'tunnel_dialer_probed_nodes')).to.deep.equal({
        'tunnel_dialer_probed_nodes{result="ok"}': 1,
        'tunnel_dialer_probed_nodes{result="error"}': 0,
      });
    });

    it('count a dial that no node could carry for each of them, and none for a node that does not exist', async () => {
      const other = await lab.node({ name: 'other' });
      await Promise.all([node.stop(), other.stop()]);
      const dialer = lab.dialer([node, other], { reconnect: never });
      watch(dialer, { perNode: true });
      await rejection(dialer.dial('10.1.2.3', 80));
      await rejection(dialer.dial('10.1.2.3', 80, { node: 'nobody' }));
      const scraped = startingWith(await scrape(registry), 'tunnel_dialer_node_dials_total');
      expect(scraped).to.deep.equal({
        'tunnel_dialer_node_dials_total{node="node-1",result="ok"}': 0,
        'tunnel_dialer_node_dials_total{node="node-1",result="error"}': 1,
        'tunnel_dialer_node_dials_total{node="other",result="ok"}': 0,
        'tunnel_dialer_node_dials_total{node="other",result="error"}': 1,
      });
    });

    it('go with the node, and the totals stay', async () => {
      const other = await lab.node({ name: 'other' });
      const dialer = lab.dialer([node, other]);
      watch(dialer, { perNode: true });
      (await dialer.dial('127.0.0.1', endpoint.port, { node: 'node-1' })).destroy();
      await node.until(({ channels }) => channels === 0);
      const before = await scrape(registry);
      dialer.update([other.spec]);
      await node.until(({ connections }) => connections === 0);
      expect(await registry.metrics())
        .to.include('"other"')
        .and.not.include('node-1');
      const after = await scrape(registry);
      for (const name of ['received_bytes_total', 'sent_bytes_total', 'dials_total{result="ok"}']) {
        const series = `tunnel_dialer_${name}`;
        expect(after.get(series), name).to.be.at.least(before.get(series)!);
      }
    });
  });

  describe('the registry', () => {
    it("is prom-client's own unless another is given", async () => {
      const metrics = dialerMetrics(lab.dialer([node]));
      lab.onEnd(() => metrics.close());
      expect(await register.metrics()).to.include('tunnel_dialer_nodes{state="ready"}');
    });

    it('that has the metrics already is refused, and left as it was', async () => {
      const [first, second] = [lab.dialer([node]), lab.dialer([node])];
      watch(first);
      const before = [...(await scrape(registry)).keys()];
      expect(() => dialerMetrics(second, { registry })).to.throw(
        InvalidOptionError,
        /registry has a metric named tunnel_dialer_dials_total already/,
      );
      expect(() => dialerMetrics(second, { registry, prefix: 'second_' })).to.throw(
        InvalidOptionError,
        /ssh_tunnel_open_count/,
      );
      expect([...(await scrape(registry)).keys()]).to.deep.equal(before);
    });

    it('takes several dialers under prefixes of their own', async () => {
      const [first, second] = [lab.dialer([node]), lab.dialer([node])];
      watch(first, { prefix: 'first_' });
      watch(second, { prefix: 'second_', sshTunnelerNames: false });
      await second.dial('127.0.0.1', endpoint.port);
      const scraped = await scrape(registry);
      expect(scraped.get('first_dials_total{result="ok"}')).to.equal(0);
      expect(scraped.get('second_dials_total{result="ok"}')).to.equal(1);
      expect(scraped.get('ssh_tunnel_open_count')).to.be.a('number');
    });

    it('may speak OpenMetrics', async () => {
      const open = new Registry<OpenMetricsContentType>();
      open.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
      const dialer = lab.dialer([node]);
      const metrics = dialerMetrics(dialer, { registry: open, perNode: true });
      await dialer.dial('127.0.0.1', endpoint.port);
      expect(await open.metrics()).to.include('tunnel_dialer_dials_total{result="ok"} 1\n');
      metrics.close();
      expect((await open.metrics()).trim()).to.equal('# EOF');
    });

    it('is left empty by close(), which counts no more and may come twice', async () => {
      const dialer = lab.dialer([node]);
      const metrics = watch(dialer, { perNode: true });
      metrics.close();
      metrics.close();
      expect(registry.getMetricsAsArray()).to.deep.equal([]);
      for (const name of eventNames) expect(hasSubscribers(name), name).to.equal(false);
      watch(dialer);
      await dialer.dial('127.0.0.1', endpoint.port);
      metrics.close();
      expect((await scrape(registry)).get('tunnel_dialer_dials_total{result="ok"}')).to.equal(1);
    });

    it('is left by `using`', () => {
      {
        using metrics = dialerMetrics(lab.dialer([node]), { registry });
        expect(metrics).to.be.an('object');
        expect(registry.getMetricsAsArray()).to.not.be.empty;
      }
      expect(registry.getMetricsAsArray()).to.deep.equal([]);
    });

    it('shows a dialer that was closed as such', async () => {
      const dialer = lab.dialer([node]);
      watch(dialer);
      await dialer.ready();
      await dialer.close();
      const scraped = await scrape(registry);
      expect(scraped.get('tunnel_dialer_connections{state="ready"}')).to.equal(0);
      expect(scraped.get('tunnel_dialer_nodes{state="idle"}')).to.equal(1);
    });
  });

  it('refuses wrong options with their path', () => {
    const dialer = lab.dialer([node]);
    const wrong: [DialerMetricsOptions, RegExp][] = [
      [{ prefix: 'tunnel-dialer-' }, /^prefix must be letters/],
      [{ registry: {} } as unknown as DialerMetricsOptions, /^registry must be a Registry of prom-client/],
      [{ perNode: 1 } as unknown as DialerMetricsOptions, /^perNode must be true or false/],
      [{ pernode: true } as DialerMetricsOptions, /did you mean perNode\?/],
    ];
    for (const [options, message] of wrong) {
      expect(() => dialerMetrics(dialer, options)).to.throw(InvalidOptionError, message);
    }
    expect(() => dialerMetrics({} as MonitoredDialer)).to.throw(
      InvalidOptionError,
      /dialer must have a status/,
    );
  });
});
