import { expect } from 'chai';
import { once } from 'node:events';
import sinon from 'sinon';
import type { NodeStatus } from '../lib/fleet/node-status.js';
import type { SshNode } from '../lib/testing/index.js';
import { gate, Lab, rejection, roundTrip, turns, until, type Endpoint } from './support/dialer.js';

describe('TunnelDialer: status', () => {
  let lab: Lab;
  let node: SshNode;
  let endpoint: Endpoint;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node({ redirect: (_, port) => ({ host: '127.0.0.1', port }) });
    endpoint = await lab.endpoint();
  });

  afterEach(async () => {
    await lab.end();
  });

  it('is a plain snapshot that does not change any more', async () => {
    const dialer = lab.dialer([node]);
    await dialer.ready();
    await until('a round trip', () => dialer.status().nodes[0]?.roundTripMs !== undefined);
    const before = dialer.status();
    const copy = structuredClone(before);
    expect(before).to.deep.equal(copy);
    await dialer.dial('127.0.0.1', endpoint.port);
    expect(before).to.deep.equal(copy);
    expect(dialer.status().nodes[0]).to.deep.include({
      name: 'node-1',
      address: '127.0.0.1',
      port: node.spec.port,
      state: 'ready',
      connections: { ready: 1, connecting: 0, draining: 0 },
      channels: { open: 1, waiting: 0 },
      counts: { connected: 1, failed: 0, lost: 0 },
    });
  });

  it('says whether the dialer is open, closing or closed', async () => {
    const dialer = lab.dialer([node]);
    const stream = await dialer.dial('127.0.0.1', endpoint.port);
    expect(dialer.status().state).to.equal('open');
    const closing = dialer.close();
    expect(dialer.status().state).to.equal('closing');
    stream.destroy();
    await closing;
    expect(dialer.status().state).to.equal('closed');
    const destroyed = lab.dialer([node]);
    destroyed.destroy();
    expect(destroyed.status().state).to.equal('closed');
  });

  it('says why a node is down, and when it is tried again', async () => {
    node.faults.rejectKey();
    const dialer = lab.dialer([node]);
    await rejection(dialer.ready());
    const [status] = dialer.status().nodes;
    expect(status).to.include({ state: 'down' });
    expect(status?.cause?.code).to.equal('ERR_TUNNEL_AUTH');
    expect(status?.cause?.message).to.include('authorized_keys');
    expect(status?.retryAt?.getTime()).to.be.within(Date.now() + 13_000, Date.now() + 30_000);
    expect(status?.counts).to.deep.equal({ connected: 0, failed: 1, lost: 0 });
  });

  it('counts what was lost, failed and made', async () => {
    const dialer = lab.dialer([node], { reconnect: { minMs: 1, maxMs: 2 } });
    await dialer.ready();
    node.cut('rst');
    await until('the replacement', () => dialer.status().nodes[0]?.counts.connected === 2);
    expect(dialer.status().nodes[0]?.counts).to.deep.equal({ connected: 2, failed: 0, lost: 1 });
    await node.stop();
    await until('a failure', () => (dialer.status().nodes[0]?.counts.failed ?? 0) > 0);
    expect(dialer.status().nodes[0]).to.include({ state: 'down' });
  });

  describe('the dials of a node', () => {
    const dialsOf = (dialer: ReturnType<Lab['dialer']>, name = 'node-1') =>
      dialer.status().nodes.find((status) => status.name === name)?.dials;

    it('are counted by whether their stream opened, and are none when they are given up', async () => {
      const dialer = lab.dialer([node]);
      await dialer.dial('127.0.0.1', endpoint.port);
      await dialer.dial('127.0.0.1', endpoint.port);
      node.faults.refuse({ reason: 2 });
      await rejection(dialer.dial('127.0.0.1', endpoint.port));
      const { opened, open } = gate();
      node.faults.confirmLate(opened);
      await rejection(dialer.dial('127.0.0.1', endpoint.port, { timeoutMs: 20 }));
      expect(dialsOf(dialer)).to.deep.equal({ opened: 2, failed: 2 });
      const controller = new AbortController();
      const given = rejection(dialer.dial('127.0.0.1', endpoint.port, { signal: controller.signal }));
      await node.until(({ pendingOpens }) => pendingOpens > 0);
      controller.abort();
      await given;
      open();
      expect(dialsOf(dialer)).to.deep.equal({ opened: 2, failed: 2 });
    });

    it('are each counted once, though a dead connection was replaced for them', async () => {
      const dialer = lab.dialer([node]);
      await dialer.ready();
      node.faults.confirmLate(new Promise(() => undefined));
      const dialled = dialer.dial('127.0.0.1', endpoint.port);
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      node.faults.reset();
      node.cut('rst');
      await dialled;
      expect(dialsOf(dialer)).to.deep.equal({ opened: 1, failed: 0 });
    });

    it('are failed ones where the node failed and another carried the dial, and neither where another was faster', async () => {
      const owner = await lab.node({ name: 'owner' });
      const dialer = lab.dialer([], {
        nodes: [{ ...owner.spec, podCIDRs: ['10.244.1.0/24'] }, node.spec],
        timeouts: { hedgeAfterMs: 10 },
      });
      await dialer.ready({ every: true });
      owner.faults.refuse({ reason: 4 });
      await dialer.dial('10.244.1.7', endpoint.port);
      expect(dialsOf(dialer, 'owner')).to.deep.equal({ opened: 0, failed: 1 });
      owner.faults.neverAnswer();
      await dialer.dial('10.244.1.7', endpoint.port);
      expect(dialsOf(dialer, 'owner')).to.deep.equal({ opened: 0, failed: 1 });
      expect(dialsOf(dialer)).to.deep.equal({ opened: 2, failed: 0 });
    });

    it('are those of callers: no probes, no connections to other nodes', async () => {
      const behind = await lab.node({ name: 'behind' });
      const dialer = lab.dialer([node], {
        nodes: [node.spec, { ...behind.spec, via: 'node-1' }],
        health: { probe: { kind: 'tcp', port: endpoint.port, intervalMs: 10 } },
      });
      await until('probes', () => dialer.status().nodes.every(({ probe }) => probe?.ok === true));
      await dialer.dial('127.0.0.1', endpoint.port, { node: 'behind' });
      expect(dialsOf(dialer, 'node-1')).to.deep.equal({ opened: 0, failed: 0 });
      expect(dialsOf(dialer, 'behind')).to.deep.equal({ opened: 1, failed: 0 });
    });
  });

  it('counts the bytes that connections carry and have carried, also for nodes that are gone', async () => {
    const dialer = lab.dialer([node]);
    expect(dialer.status().bytes).to.deep.equal({ received: 0, sent: 0 });
    const stream = await dialer.dial('127.0.0.1', endpoint.port);
    await roundTrip(stream, 'x'.repeat(10_000));
    const carried = dialer.status();
    expect(carried.bytes).to.deep.equal(carried.nodes[0]?.bytes);
    expect(carried.bytes.received).to.be.above(10_000);
    expect(carried.bytes.sent).to.be.above(10_000);
    const errored = once(stream, 'error');
    node.cut('rst');
    await errored;
    await until('the replacement', () => dialer.status().nodes[0]?.counts.connected === 2);
    const afterLoss = dialer.status().bytes;
    expect(afterLoss.received).to.be.above(carried.bytes.received);
    dialer.update([]);
    await node.until(({ connections }) => connections === 0);
    await turns(2);
    expect(dialer.status().nodes).to.deep.equal([]);
    expect(dialer.status().bytes.received).to.be.at.least(afterLoss.received);
    expect(dialer.status().bytes.sent).to.be.at.least(afterLoss.sent);
  });

  describe('nodeState', () => {
    /** The states that a node goes through, as they are told. */
    function watch(dialer: ReturnType<Lab['dialer']>): NodeStatus[] {
      const told: NodeStatus[] = [];
      dialer.on('nodeState', (status) => void told.push(status));
      return told;
    }

    it('is told of every state that a node enters', async () => {
      await node.stop();
      const dialer = lab.dialer([node], { reconnect: { minMs: 1, maxMs: 2 } });
      const told = watch(dialer);
      await until('down', () => told.some(({ state }) => state === 'down'));
      await node.start();
      await until('ready', () => told.some(({ state }) => state === 'ready'));
      node.cut('rst');
      await until('ready again', () => told.filter(({ state }) => state === 'ready').length === 2);
      const states = told
        .map(({ state }) => state)
        .filter((state, index) => index > 0 || state !== 'connecting');
      expect(states).to.deep.equal(['down', 'ready', 'connecting', 'ready']);
      for (const status of told) expect(status.name).to.equal('node-1');
    });

    it('is told of a node that is degraded', async () => {
      const dialer = lab.dialer([node], { pool: { maxChannelsPerConnection: 1 } });
      const told = watch(dialer);
      await dialer.dial('127.0.0.1', endpoint.port);
      node.faults.rejectKey();
      const controller = new AbortController();
      const given = rejection(dialer.dial('127.0.0.1', endpoint.port, { signal: controller.signal }));
      await until('degraded', () => told.some(({ state }) => state === 'degraded'));
      expect(told.at(-1)?.cause?.code).to.equal('ERR_TUNNEL_AUTH');
      controller.abort();
      await given;
    });

    it('is told of a node that is connected on demand, and idle again', async () => {
      const dialer = lab.dialer([node], { pool: { minConnections: 0, idleTimeoutMs: 40 } });
      const told = watch(dialer);
      expect(dialer.status().nodes[0]?.state).to.equal('idle');
      (await dialer.dial('127.0.0.1', endpoint.port)).destroy();
      await until('idle', () => told.at(-1)?.state === 'idle');
      expect(told.map(({ state }) => state)).to.deep.equal(['connecting', 'ready', 'idle']);
    });

    it('is told of a state that status() shows, and of when it was entered', async () => {
      node.pause();
      const clock = sinon.useFakeTimers({ now: Date.now(), toFake: ['Date'] });
      lab.onEnd(() => clock.restore());
      const dialer = lab.dialer([node], { pool: { minConnections: 0 } });
      const { since: idleSince } = dialer.status().nodes[0]!;
      clock.tick(5);
      const controller = new AbortController();
      const given = rejection(dialer.dial('127.0.0.1', endpoint.port, { signal: controller.signal }));
      await node.until(({ connections }) => connections === 1);
      const { state, since } = dialer.status().nodes[0]!;
      expect(state).to.equal('connecting');
      expect(since.getTime()).to.equal(idleSince.getTime() + 5);
      controller.abort();
      await given;
      node.resume();
    });
  });
});
