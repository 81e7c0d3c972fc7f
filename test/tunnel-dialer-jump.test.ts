import { expect } from 'chai';
import { once } from 'node:events';
import { connect } from 'node:net';
import { pipeline } from 'node:stream';
import {
  AuthenticationError,
  InvalidOptionError,
  NodeUnavailableError,
  TransportError,
} from '../lib/errors.js';
import type { NodeSpec } from '../lib/fleet/node.js';
import type { SshNode } from '../lib/testing/index.js';
import type { TunnelDialerOptions } from '../lib/options.js';
import type { TunnelDialer } from '../lib/tunnel-dialer.js';
import {
  gate,
  Lab,
  rejection,
  roundTrip,
  turn,
  uncaughtDuring,
  until,
  type Endpoint,
} from './support/dialer.js';

describe('TunnelDialer: jump hosts', () => {
  let lab: Lab;
  let bastion: SshNode;
  let node: SshNode;
  let endpoint: Endpoint;

  beforeEach(async () => {
    lab = new Lab();
    bastion = await lab.node({ name: 'bastion' });
    node = await lab.node({ name: 'node' });
    endpoint = await lab.endpoint();
  });

  afterEach(async () => {
    await lab.end();
  });

  const bastionSpec = (): NodeSpec => ({ ...bastion.spec, bastion: true });
  const behind = (via: string, { spec }: SshNode = node): NodeSpec => ({ ...spec, via });

  function dialerTo(nodes: readonly NodeSpec[], options: Partial<TunnelDialerOptions> = {}): TunnelDialer {
    return lab.dialer([bastion], { nodes, ...options });
  }

  const dial = (dialer: TunnelDialer, through = 'node') =>
    dialer.dial('127.0.0.1', endpoint.port, { node: through });

  const stateOf = (dialer: TunnelDialer, name = 'node') =>
    dialer.status().nodes.find((status) => status.name === name)?.state;

  it('carries the connection to a node in a channel of its jump host', async () => {
    const dialer = dialerTo([behind('bastion'), bastionSpec()]);
    await dialer.ready({ every: true });
    await roundTrip(await dial(dialer));
    expect(bastion).to.include({ totalConnections: 1, channels: 1 });
    expect(node).to.include({ totalConnections: 1, channels: 1 });
    expect(
      dialer.status().nodes.map(({ name, via, bastion: isBastion }) => [name, via, isBastion]),
    ).to.deep.equal([
      ['node', 'bastion', undefined],
      ['bastion', undefined, true],
    ]);
  });

  it('moves megabytes intact both ways', async () => {
    const dialer = dialerTo([behind('bastion'), bastionSpec()]);
    const stream = await dial(dialer);
    const sent = Buffer.alloc(8 * 1024 * 1024, 'jump');
    let received = 0;
    stream.on('data', (chunk: Buffer) => {
      expect(chunk.equals(sent.subarray(received, received + chunk.length))).to.equal(true);
      received += chunk.length;
    });
    stream.end(sent);
    await once(stream, 'end');
    expect(received).to.equal(sent.length);
  });

  it('jumps as often as it takes, also over nodes that carry dials themselves', async () => {
    const far = await lab.node({ name: 'far' });
    const dialer = dialerTo([behind('node', far), behind('bastion'), bastionSpec()]);
    await dialer.ready({ every: true });
    await roundTrip(await dial(dialer, 'far'));
    await roundTrip(await dial(dialer, 'node'));
    expect(bastion.channels).to.equal(1);
    expect(node.channels).to.equal(2);
  });

  it('connects many nodes behind one jump host, though no more handshakes than one may be under way', async () => {
    const others = await Promise.all([1, 2, 3, 4, 5].map((number) => lab.node({ name: `node-${number}` })));
    const nodes = [...others.map((other) => behind('bastion', other)), bastionSpec()];
    const dialer = dialerTo(nodes, { reconnect: { maxHandshakes: 1, maxHandshakesPerNode: 1 } });
    await dialer.ready({ every: true });
    expect(bastion).to.include({ totalConnections: 1, channels: 5 });
  });

  it('connects a jump host for a node whose handshake has begun, though no more than one may be under way', async () => {
    const dialer = dialerTo([behind('bastion'), bastionSpec()], {
      pool: { minConnections: 0 },
      reconnect: { maxHandshakes: 1 },
    });
    await roundTrip(await dial(dialer));
  });

  it('does not take a bastion for a node that is ready', async () => {
    node.pause();
    const dialer = dialerTo([behind('bastion'), bastionSpec()]);
    await until('the bastion', () => stateOf(dialer, 'bastion') === 'ready');
    let isReady = false;
    const ready = dialer.ready().then(() => (isReady = true));
    await bastion.until(({ channels }) => channels === 1);
    expect(isReady).to.equal(false);
    node.resume();
    await ready;
  });

  it('errors the streams of the nodes behind a jump host that is lost, and connects again when it is back', async () => {
    const dialer = dialerTo([behind('bastion'), bastionSpec()]);
    const stream = await dial(dialer);
    const errored = once(stream, 'error') as Promise<[TransportError]>;
    bastion.cut('rst');
    const [error] = await errored;
    expect(error).to.be.an.instanceOf(TransportError).and.include({ code: 'ECONNRESET', node: 'node' });
    await dialer.ready({ every: true });
    await roundTrip(await dial(dialer));
  });

  it('tries the nodes behind a jump host as soon as that is up again', async () => {
    let isUp = false;
    const way = await lab.endpoint((socket) => {
      if (!isUp) socket.destroy();
      else pipeline(socket, connect(bastion.spec.port), socket, () => undefined);
    });
    const dialer = dialerTo([behind('bastion'), { ...bastionSpec(), port: way.port }], {
      reconnect: { minMs: 600_000, maxMs: 600_000 },
    });
    await until('the failure', () => stateOf(dialer) === 'down');
    isUp = true;
    // A dial makes an attempt of its own once the last failure is old enough.
    const dialBastion = () =>
      dial(dialer, 'bastion').then(
        () => true,
        () => false,
      );
    while (!(await dialBastion())) await turn();
    await until('the node', () => stateOf(dialer) === 'ready');
  });

  it('leaves a node alone that has refused our key, though its jump host is up again', async () => {
    node.faults.rejectKey();
    const dialer = dialerTo([behind('bastion'), bastionSpec()]);
    await until('the refusal', () => stateOf(dialer) === 'down');
    bastion.cut('rst');
    await until('the loss', () => stateOf(dialer, 'bastion') !== 'ready');
    await until('the bastion', () => stateOf(dialer, 'bastion') === 'ready');
    // A jump would have been asked for before it.
    await roundTrip(await dial(dialer, 'bastion'));
    expect(bastion.totalChannels).to.equal(2);
    expect(node.totalConnections).to.equal(1);
  });

  it('says what is wrong with the jump host', async () => {
    const elsewhere = await lab.endpoint();
    await elsewhere.close();
    const dialer = dialerTo([behind('bastion'), { ...bastionSpec(), port: elsewhere.port }]);
    const error = await rejection<NodeUnavailableError>(dial(dialer));
    expect(error).to.be.an.instanceOf(NodeUnavailableError).and.include({ node: 'node' });
    expect(error.message).to.match(
      /^node \(127\.0\.0\.1:\d+\) cannot be reached through bastion: .*ECONNREFUSED/,
    );
    expect(error.message.match(/next attempt in/g)).to.have.lengthOf(1);
    const { cause } = dialer.status().nodes.find(({ name }) => name === 'node')!;
    expect(cause?.message).to.not.include('next attempt');
  });

  it('says what is wrong with the way from the jump host to the node', async () => {
    const elsewhere = await lab.endpoint();
    await elsewhere.close();
    const dialer = dialerTo([{ ...behind('bastion'), port: elsewhere.port }, bastionSpec()]);
    const error = await rejection<NodeUnavailableError>(dial(dialer));
    expect(error).to.be.an.instanceOf(NodeUnavailableError);
    expect(error.message).to.match(
      /cannot be reached through bastion: bastion could not connect to 127\.0\.0\.1:\d+: .*refused/i,
    );
  });

  it('tells a jump host that refuses our key from a node that does', async () => {
    const other = await lab.node({ name: 'other', authorizedKeys: [] });
    const dialer = dialerTo([behind('other'), { ...other.spec, bastion: true, username: 'nobody' }]);
    expect(await rejection(dialer.ready()))
      .to.be.an.instanceOf(AuthenticationError)
      .and.include({ node: 'other' });
  });

  it('gives a jump that hangs no longer than the deadline of connecting', async () => {
    bastion.pause();
    const dialer = dialerTo([behind('bastion'), bastionSpec()], { timeouts: { connectMs: 300 } });
    const error = await rejection(dial(dialer));
    expect(error).to.include({ code: 'ETIMEDOUT', phase: 'connect', node: 'node' });
    bastion.resume();
  });

  it('gives a jump that hangs no longer than a moment when others wait to be connected', async () => {
    const hanging = await lab.node({ name: 'hanging' });
    const other = await lab.node({ name: 'other' });
    const bastions = [bastionSpec(), { ...hanging.spec, bastion: true }];
    const dialer = dialerTo(bastions, { reconnect: { maxHandshakes: 1 } });
    await until('the bastions', () => dialer.status().nodes.every(({ state }) => state === 'ready'));
    hanging.pause();
    dialer.update([...bastions, behind('hanging'), behind('bastion', other)]);
    await until('the other', () => stateOf(dialer, 'other') === 'ready');
    expect(dialer.status().nodes.find(({ name }) => name === 'node')?.cause?.message).to.include(
      'others wait',
    );
    hanging.resume();
  });

  it('can be destroyed in the very moment in which a jump is granted', async () => {
    const release = gate();
    const dialer = dialerTo([behind('bastion'), bastionSpec()], { pool: { minConnections: 0 } });
    (await dial(dialer, 'bastion')).destroy();
    bastion.faults.confirmLate(release.opened);
    const uncaught = await uncaughtDuring(async () => {
      const dialled = dial(dialer, 'bastion').then((stream) => {
        stream.on('error', () => undefined);
        dialer.destroy();
      });
      await bastion.until(({ pendingOpens }) => pendingOpens === 1);
      const failed = rejection(dial(dialer));
      await bastion.until(({ pendingOpens }) => pendingOpens === 2);
      release.open();
      await Promise.all([dialled, failed]);
    });
    expect(uncaught).to.deep.equal([]);
  });

  it('keeps the connection to a jump host however many nodes behind it do not answer', async () => {
    const dead = Array.from({ length: 20 }, (_, index) => ({ ...behind('bastion'), name: `dead-${index}` }));
    bastion.faults.neverAnswer();
    const dialer = dialerTo([bastionSpec(), ...dead], { timeouts: { connectMs: 300 } });
    await until('their failures', () => dead.every(({ name }) => stateOf(dialer, name) === 'down'));
    const { counts, connections } = dialer.status().nodes[0] ?? {};
    expect({ counts, connections }).to.deep.equal({
      counts: { connected: 1, failed: 0, lost: 0 },
      connections: { ready: 1, connecting: 0, draining: 0 },
    });
  });

  describe('update', () => {
    it('keeps what is unchanged', async () => {
      const dialer = dialerTo([behind('bastion'), bastionSpec()]);
      const stream = await dial(dialer);
      dialer.update([bastionSpec(), behind('BASTION')]);
      await roundTrip(stream);
      expect([bastion.totalConnections, node.totalConnections]).to.deep.equal([1, 1]);
    });

    it('takes another way: the old one is left with the last stream on it', async () => {
      const dialer = dialerTo([behind('bastion'), bastionSpec()]);
      const stream = await dial(dialer);
      dialer.update([node.spec]);
      await dialer.ready({ every: true });
      await roundTrip(await dial(dialer));
      expect(node.totalConnections).to.equal(2);
      await roundTrip(stream);
      expect(bastion.connections).to.equal(1);
      stream.end();
      stream.resume();
      await bastion.until(({ connections }) => connections === 0);
      expect(node.connections).to.equal(1);
    });

    it('connects anew what is behind a jump host that has changed', async () => {
      const dialer = dialerTo([behind('bastion'), bastionSpec()]);
      await dialer.ready({ every: true });
      const successor = await lab.node({ name: 'bastion' });
      dialer.update([behind('bastion'), { ...successor.spec, bastion: true }]);
      await bastion.until(({ connections }) => connections === 0);
      await dialer.ready({ every: true });
      await roundTrip(await dial(dialer));
      expect(successor.channels).to.equal(1);
    });

    it('lets dials to a removed node come to their end over a jump host that is removed too', async () => {
      node.pause();
      const dialer = dialerTo([behind('bastion'), bastionSpec()], { pool: { minConnections: 0 } });
      const dialled = dial(dialer);
      await bastion.until(({ channels }) => channels === 1);
      dialer.update([]);
      node.resume();
      const stream = await dialled;
      await roundTrip(stream);
      stream.destroy();
      await bastion.until(({ connections }) => connections === 0);
    });

    it('changes nothing when the ways make a circle', async () => {
      const dialer = dialerTo([behind('bastion'), bastionSpec()]);
      const stream = await dial(dialer);
      expect(() => dialer.update([behind('bastion'), { ...bastionSpec(), via: 'node' }])).to.throw(
        InvalidOptionError,
        /via of bastion leads back to itself: node → bastion → node/,
      );
      await roundTrip(stream);
      await roundTrip(await dial(dialer));
      expect(bastion.totalConnections).to.equal(1);
    });
  });

  it('closes what is carried before what carries it', async () => {
    const dialer = dialerTo([behind('bastion'), bastionSpec()]);
    const stream = await dial(dialer);
    let isClosed = false;
    const closed = dialer.close().then(() => (isClosed = true));
    await roundTrip(stream);
    expect(isClosed).to.equal(false);
    expect(bastion.connections).to.equal(1);
    stream.end();
    stream.resume();
    await closed;
    await bastion.until(({ connections }) => connections === 0);
    await node.until(({ connections }) => connections === 0);
  });

  it('ends everything at once when it is destroyed', async () => {
    const dialer = dialerTo([behind('bastion'), bastionSpec()]);
    const stream = await dial(dialer);
    const errored = once(stream, 'error');
    dialer.destroy();
    await errored;
    await bastion.until(({ connections }) => connections === 0);
    await node.until(({ connections }) => connections === 0);
    await dialer.close();
  });
});
