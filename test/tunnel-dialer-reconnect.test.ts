import { expect } from 'chai';
import { once } from 'node:events';
import sinon from 'sinon';
import { NodeUnavailableError, TransportError, type TunnelError } from '../lib/errors.js';
import type { SshNode } from '../lib/testing/index.js';
import type { TunnelDialer } from '../lib/tunnel-dialer.js';
import { Lab, rejection, roundTrip, turns, until, type Endpoint } from './support/dialer.js';

const never = { minMs: 60_000, maxMs: 60_000 };

describe('TunnelDialer: reconnect', () => {
  let lab: Lab;
  let node: SshNode;
  let endpoint: Endpoint;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node();
    endpoint = await lab.endpoint();
  });

  afterEach(async () => {
    await lab.end();
  });

  const dial = (dialer: TunnelDialer) => dialer.dial('127.0.0.1', endpoint.port);
  const statusOf = (dialer: TunnelDialer) => dialer.status().nodes[0]!;

  const losses: Record<string, () => void> = {
    FIN: () => node.cut('fin'),
    RST: () => node.cut('rst'),
    DISCONNECT: () => node.disconnect(2, 'restarting'),
  };
  for (const [how, lose] of Object.entries(losses)) {
    it(`replaces a connection lost by ${how} at once, and the next dial succeeds without waiting for a timer`, async () => {
      const dialer = lab.dialer([node], { reconnect: never });
      const stream = await dial(dialer);
      const errored = once(stream, 'error') as Promise<[TunnelError]>;
      lose();
      expect((await errored)[0])
        .to.be.an.instanceOf(TransportError)
        .and.include({ code: 'ECONNRESET' });
      await roundTrip(await dial(dialer));
      expect(statusOf(dialer).counts).to.deep.equal({ connected: 2, failed: 0, lost: 1 });
    });
  }

  it('replaces it also when the loss is found by the dial itself', async () => {
    const dialer = lab.dialer([node], { reconnect: never });
    await dialer.ready();
    node.cut('rst');
    await roundTrip(await dial(dialer));
  });

  it('replaces a connection that went silent', async () => {
    const dialer = lab.dialer([node], {
      reconnect: never,
      health: { keepaliveIntervalMs: 100, keepaliveCountMax: 1 },
    });
    const stream = await dial(dialer);
    const errored = once(stream, 'error') as Promise<[TunnelError]>;
    node.pause();
    expect((await errored)[0].message).to.include('nothing was heard from it for 200 ms');
    node.resume();
    await roundTrip(await dial(dialer));
  });

  it('replaces each of many that are lost one after the other', async () => {
    const dialer = lab.dialer([node], { reconnect: { ...never, stableMs: 0 } });
    for (let times = 0; times < 10; times += 1) {
      const stream = await dial(dialer);
      const errored = once(stream, 'error');
      node.cut('rst');
      await errored;
    }
    await roundTrip(await dial(dialer));
    expect(statusOf(dialer).counts).to.deep.equal({ connected: 11, failed: 0, lost: 10 });
  });

  it('does not replace one that dies young again and again without waiting', async () => {
    const dialer = lab.dialer([node], { reconnect: never });
    for (let times = 1; times <= 4; times += 1) {
      await until('a connection', () => statusOf(dialer).counts.connected === times);
      node.cut('rst');
      await until('the loss', () => statusOf(dialer).counts.lost === times);
    }
    await turns(10);
    expect(node.totalConnections).to.equal(4);
    expect(statusOf(dialer)).to.include({ state: 'down' });
    expect(await rejection(dial(dialer))).to.be.an.instanceOf(NodeUnavailableError);
  });

  it('fails a dial to a node in back-off at once, with the cause and the time of the next attempt', async () => {
    await node.stop();
    const dialer = lab.dialer([node], { reconnect: never });
    await until('the failure', () => statusOf(dialer).state === 'down');
    const error = await rejection<NodeUnavailableError>(dial(dialer));
    expect(error)
      .to.be.an.instanceOf(NodeUnavailableError)
      .and.include({ node: 'node-1', port: endpoint.port });
    expect(error.cause).to.be.an.instanceOf(TransportError);
    expect(error.retryAt.getTime()).to.be.within(Date.now() - 10_000, Date.now() + 60_000);
    expect(statusOf(dialer).counts.failed).to.equal(1);
  });

  it('lets a dial make an early attempt when the last failure is a second old', async () => {
    const clock = sinon.useFakeTimers({ now: Date.now(), toFake: ['Date', 'performance'] });
    lab.onEnd(() => clock.restore());
    await node.stop();
    const dialer = lab.dialer([node], { reconnect: never });
    await until('the failure', () => statusOf(dialer).state === 'down');
    await node.start();
    const error = await rejection<NodeUnavailableError>(dial(dialer));
    const waitMs = error.retryAt.getTime() - Date.now();
    clock.tick(waitMs - 1);
    expect(await rejection(dial(dialer))).to.be.an.instanceOf(NodeUnavailableError);
    clock.tick(1);
    await roundTrip(await dial(dialer));
  });

  it('comes back by itself when the node does', async () => {
    const dialer = lab.dialer([node], { reconnect: { minMs: 5, maxMs: 20 } });
    await dialer.ready();
    await node.stop();
    await until('some failures', () => statusOf(dialer).counts.failed > 3);
    await node.start();
    await until('ready', () => statusOf(dialer).state === 'ready');
    await roundTrip(await dial(dialer));
  });

  it('has no more handshakes under way than are allowed, over all nodes and on each', async () => {
    const nodes = await Promise.all(['a', 'b', 'c', 'd'].map((name) => lab.node({ name })));
    for (const one of nodes) one.faults.stallHandshake();
    const dialer = lab.dialer(nodes, {
      pool: { minConnections: 3 },
      reconnect: { maxHandshakes: 5, maxHandshakesPerNode: 2 },
    });
    const underWay = () => nodes.map(({ connections }) => connections);
    const sum = () => underWay().reduce((total, one) => total + one, 0);
    await until('five', () => sum() === 5);
    await turns(20);
    expect(sum()).to.equal(5);
    expect(Math.max(...underWay())).to.be.at.most(2);
    for (const one of nodes) one.faults.reset();
    for (const one of nodes) one.cut('rst');
    await dialer.ready({ every: true });
  });

  it('leaves the other nodes alone when one hangs, refuses or is gone', async () => {
    const [hung, refusing, gone] = await Promise.all(
      ['hung', 'refusing', 'gone'].map((name) => lab.node({ name })),
    );
    hung!.faults.stallHandshake();
    refusing!.faults.rejectKey();
    await gone!.stop();
    const dialer = lab.dialer([node, hung!, refusing!, gone!], { timeouts: { connectMs: 60_000 } });
    await dialer.ready();
    const dials = Array.from({ length: 20 }, () =>
      dialer.dial('127.0.0.1', endpoint.port, { node: 'node-1' }),
    );
    await Promise.all((await Promise.all(dials)).map((stream) => roundTrip(stream)));
    const states = dialer.status().nodes.map(({ name, state }) => `${name} ${state}`);
    expect(states).to.include.members(['node-1 ready', 'hung connecting']);
  });
});
