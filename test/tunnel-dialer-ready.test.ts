import { expect } from 'chai';
import { getEventListeners } from 'node:events';
import { AuthenticationError, ClosedError, HostKeyError, InvalidOptionError } from '../lib/errors.js';
import type { SshNode } from '../lib/testing/index.js';
import { Lab, rejection, turns, until, warningsDuring } from './support/dialer.js';

const soon = { minMs: 1, maxMs: 5 };

describe('TunnelDialer: ready', () => {
  let lab: Lab;
  let a: SshNode;
  let b: SshNode;

  beforeEach(async () => {
    lab = new Lab();
    a = await lab.node({ name: 'a' });
    b = await lab.node({ name: 'b' });
  });

  afterEach(async () => {
    await lab.end();
  });

  /** Whether a promise has been fulfilled by now. */
  function watch(promise: Promise<void>): () => boolean {
    let isFulfilled = false;
    promise.then(
      () => (isFulfilled = true),
      () => undefined,
    );
    return () => isFulfilled;
  }

  it('resolves when the first node is ready', async () => {
    await b.stop();
    const dialer = lab.dialer([a, b]);
    await dialer.ready();
    expect(dialer.status().nodes[0]?.state).to.equal('ready');
    await dialer.ready();
  });

  it('resolves with `every` when the last one is', async () => {
    await b.stop();
    const dialer = lab.dialer([a, b], { reconnect: soon });
    const every = dialer.ready({ every: true });
    const isReady = watch(every);
    await dialer.ready();
    await turns(10);
    expect(isReady()).to.equal(false);
    await b.start();
    await every;
    expect(dialer.status().nodes.map(({ state }) => state)).to.deep.equal(['ready', 'ready']);
  });

  it('connects nodes to which no connection is kept up', async () => {
    const dialer = lab.dialer([a, b], { pool: { minConnections: 0 } });
    await turns(5);
    expect(a.totalConnections).to.equal(0);
    await dialer.ready({ every: true });
    expect([a.totalConnections, b.totalConnections]).to.deep.equal([1, 1]);
  });

  it('connects many such nodes without a warning', async () => {
    const specs = Array.from({ length: 30 }, (_, index) => ({ ...a.spec, name: `node-${index}` }));
    const dialer = lab.dialer([], { nodes: specs, pool: { minConnections: 0 } });
    const ready = (): Promise<unknown> =>
      Promise.all(Array.from({ length: 30 }, () => dialer.ready({ every: true })));
    expect(await warningsDuring(ready)).to.deep.equal([]);
  });

  it('waits as long as a node may still come', async () => {
    await a.stop();
    const dialer = lab.dialer([a], { reconnect: soon });
    const ready = dialer.ready();
    await until('some failures', () => (dialer.status().nodes[0]?.counts.failed ?? 0) > 3);
    await a.start();
    await ready;
  });

  it('waits for the nodes when there are none yet', async () => {
    const dialer = lab.dialer([]);
    const ready = dialer.ready();
    const isReady = watch(ready);
    await turns(5);
    expect(isReady()).to.equal(false);
    dialer.update([a.spec]);
    await ready;
  });

  it('resolves for a node that is degraded: connected, though further connections fail', async () => {
    const dialer = lab.dialer([a], { pool: { maxConnections: 2, maxChannelsPerConnection: 1 } });
    const endpoint = await lab.endpoint();
    const stream = await dialer.dial('127.0.0.1', endpoint.port, { node: 'a' });
    a.faults.rejectKey();
    const controller = new AbortController();
    const { signal } = controller;
    const waiting = rejection(dialer.dial('127.0.0.1', endpoint.port, { node: 'a', signal }));
    await until('the failure', () => dialer.status().nodes[0]?.state === 'degraded');
    const isReady = watch(dialer.ready());
    const isEveryReady = watch(dialer.ready({ every: true }));
    await turns(2);
    expect([isReady(), isEveryReady()]).to.deep.equal([true, true]);
    controller.abort();
    await waiting;
    stream.destroy();
  });

  it('resolves when those that were not ready are removed', async () => {
    await b.stop();
    const dialer = lab.dialer([a, b], { reconnect: { minMs: 60_000, maxMs: 60_000 } });
    const every = dialer.ready({ every: true });
    await until('the failure', () => dialer.status().nodes[1]?.state === 'down');
    await dialer.ready();
    await turns(5);
    dialer.update([a.spec]);
    await every;
  });

  describe('rejects when waiting cannot help', () => {
    it("with the node's own error", async () => {
      a.faults.rejectKey();
      const dialer = lab.dialer([a]);
      expect(await rejection(dialer.ready()))
        .to.be.an.instanceOf(AuthenticationError)
        .and.include({ node: 'a' });
    });

    it('with every error when there are many', async () => {
      a.faults.rejectKey();
      b.changeHostKey();
      const spec = { ...b.spec, hostKey: a.spec.hostKey };
      const dialer = lab.dialer([], { nodes: [a.spec, spec] });
      const error = await rejection<AggregateError>(dialer.ready());
      expect(error).to.be.an.instanceOf(AggregateError);
      expect(error.errors.map((one: Error) => one.constructor)).to.have.members([
        AuthenticationError,
        HostKeyError,
      ]);
      expect(error.message).to.include('a (').and.include('b (');
    });

    it('but not while another node may come', async () => {
      a.faults.rejectKey();
      await b.stop();
      const dialer = lab.dialer([a, b], { reconnect: soon });
      const ready = dialer.ready();
      await until('both down', () => dialer.status().nodes.every(({ state }) => state === 'down'));
      await b.start();
      await ready;
    });

    it('with `every` as soon as one node is lost', async () => {
      await a.stop();
      b.faults.rejectKey();
      const dialer = lab.dialer([a, b]);
      expect(await rejection(dialer.ready({ every: true }))).to.be.an.instanceOf(AuthenticationError);
    });

    it('also when that turns out only later', async () => {
      a.faults.rejectKey();
      await a.stop();
      const dialer = lab.dialer([a], { reconnect: soon });
      await until('a failure', () => dialer.status().nodes[0]?.state === 'down');
      const ready = rejection(dialer.ready());
      await a.start();
      expect(await ready).to.be.an.instanceOf(AuthenticationError);
    });
  });

  it('rejects with the reason of its signal, and leaves no listener', async () => {
    await a.stop();
    const dialer = lab.dialer([a]);
    const controller = new AbortController();
    const ready = rejection(dialer.ready({ signal: controller.signal }));
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await ready).to.equal(reason);
    expect(await rejection(dialer.ready({ signal: controller.signal }))).to.equal(reason);
    expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
    expect(dialer.listenerCount('nodeState')).to.equal(0);
  });

  it('rejects when the dialer is closed or destroyed, before or after', async () => {
    await a.stop();
    const closed = lab.dialer([a]);
    const waiting = rejection(closed.ready());
    await closed.close();
    expect(await waiting).to.be.an.instanceOf(ClosedError);
    expect(await rejection(closed.ready())).to.be.an.instanceOf(ClosedError);
    const destroyed = lab.dialer([a]);
    const other = rejection(destroyed.ready());
    const cause = new Error('mine');
    destroyed.destroy(cause);
    expect(await other)
      .to.be.an.instanceOf(ClosedError)
      .and.include({ cause });
  });

  for (const [what, options] of Object.entries({
    'a wrong signal': { signal: 5 },
    'a wrong every': { every: 'yes' },
    'an unknown option': { all: true },
  })) {
    it(`refuses ${what}`, async () => {
      const dialer = lab.dialer([a]);
      expect(await rejection(dialer.ready(options as object))).to.be.an.instanceOf(InvalidOptionError);
    });
  }
});
