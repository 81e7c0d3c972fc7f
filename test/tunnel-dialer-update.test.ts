import { expect } from 'chai';
import { once } from 'node:events';
import {
  ClosedError,
  HostKeyError,
  InvalidOptionError,
  NodeUnavailableError,
  NoRouteError,
  type TunnelError,
} from '../lib/errors.js';
import { knownHosts } from '../lib/index.js';
import type { NodeSpec } from '../lib/fleet/node.js';
import type { SshNode } from '../lib/testing/index.js';
import type { TunnelDialer } from '../lib/tunnel-dialer.js';
import { gate, Lab, rejection, roundTrip, until, type Endpoint } from './support/dialer.js';

describe('TunnelDialer: update', () => {
  let lab: Lab;
  let a: SshNode;
  let b: SshNode;
  let endpoint: Endpoint;
  let dialer: TunnelDialer;

  beforeEach(async () => {
    lab = new Lab();
    a = await lab.node({ name: 'a' });
    b = await lab.node({ name: 'b' });
    endpoint = await lab.endpoint();
    dialer = lab.dialer([a, b]);
    await dialer.ready({ every: true });
  });

  afterEach(async () => {
    await lab.end();
  });

  const dial = (node: string) => dialer.dial('127.0.0.1', endpoint.port, { node });

  it('keeps the connections and streams of an unchanged node', async () => {
    const stream = await dial('a');
    dialer.update([b.spec, a.spec]);
    dialer.update([a.spec, b.spec]);
    await roundTrip(stream);
    await roundTrip(await dial('a'));
    expect([a.totalConnections, b.totalConnections]).to.deep.equal([1, 1]);
    expect(dialer.status().nodes.map(({ state }) => state)).to.deep.equal(['ready', 'ready']);
  });

  it('keeps the connections of a node of which only the routes change', async () => {
    const stream = await dial('a');
    dialer.update([
      { ...a.spec, podCIDRs: ['10.244.0.0/16'], addresses: ['a.internal'], selfAddress: '127.0.0.1' },
    ]);
    await roundTrip(stream);
    await roundTrip(await dialer.dial('a.internal', endpoint.port));
    expect(a.totalConnections).to.equal(1);
  });

  it('takes no more dials to a removed node, while its streams go on; its connection is closed with the last', async () => {
    const stream = await dial('b');
    dialer.update([a.spec]);
    expect(await rejection(dial('b'))).to.be.an.instanceOf(NoRouteError);
    expect(dialer.status().nodes.map(({ name }) => name)).to.deep.equal(['a']);
    await roundTrip(stream);
    expect(b.connections).to.equal(1);
    stream.end();
    stream.resume();
    await b.until(({ connections }) => connections === 0);
    expect(a.connections).to.equal(1);
  });

  it('closes the connection of a removed node at once when it carries nothing', async () => {
    dialer.update([a.spec]);
    await b.until(({ connections }) => connections === 0);
  });

  it('closes the connection of a removed node though a dial was given up that it never answers', async () => {
    b.faults.neverAnswer();
    const controller = new AbortController();
    const given = rejection(dialer.dial('127.0.0.1', 1, { node: 'b', signal: controller.signal }));
    await b.until(({ pendingOpens }) => pendingOpens === 1);
    controller.abort(new Error('enough'));
    await given;
    dialer.update([a.spec]);
    await b.until(({ connections }) => connections === 0);
  });

  it('lets dials that are under way to a removed node come to their end', async () => {
    const { opened, open } = gate();
    b.faults.confirmLate(opened);
    const dialled = dial('b');
    await b.until(({ pendingOpens }) => pendingOpens === 1);
    dialer.update([a.spec]);
    open();
    await roundTrip(await dialled);
  });

  it('sends dials that wait for a channel of a removed node elsewhere, or tells them that it is gone', async () => {
    const narrow = lab.dialer([a, b], {
      pool: { minConnections: 1, maxConnections: 1, maxChannelsPerConnection: 1 },
    });
    await narrow.ready({ every: true });
    const dialNarrow = (node?: string) => narrow.dial('127.0.0.1', endpoint.port, { node });
    const stream = await dialNarrow('b');
    const refused = rejection(dialNarrow('b'));
    const other = await dialNarrow('a');
    const spare = dialNarrow();
    await until('both dials to wait', () => {
      const waiting = narrow.status().nodes.map(({ channels }) => channels.waiting);
      return waiting.reduce((sum, one) => sum + one, 0) === 2;
    });
    narrow.update([a.spec]);
    other.destroy();
    expect(await refused)
      .to.be.an.instanceOf(ClosedError)
      .and.include({ node: 'b' });
    const carried = await spare;
    expect(carried.node).to.equal('a');
    await roundTrip(stream);
  });

  it('makes no more attempts to connect to a removed node', async () => {
    b.faults.rejectKey();
    b.cut('rst');
    const witness = await lab.node({ name: 'witness' });
    witness.faults.rejectKey();
    const eager = lab.dialer([a, b, witness], { reconnect: { minMs: 1, maxMs: 2 } });
    await until('some failures', () => (eager.status().nodes[1]?.counts.failed ?? 0) > 2);
    dialer.destroy();
    eager.update([a.spec, witness.spec]);
    await b.until(({ connections }) => connections === 0);
    const attempts = b.totalConnections;
    const seen = witness.totalConnections;
    await witness.until(() => witness.totalConnections >= seen + 10);
    expect(b.totalConnections).to.equal(attempts);
  });

  it('replaces a changed node: old streams go on, new ones take the new way', async () => {
    const moved = await lab.node({ name: 'moved' });
    const stream = await dial('a');
    dialer.update([{ ...moved.spec, name: 'a' }, b.spec]);
    await roundTrip(stream);
    await roundTrip(await dial('a'));
    expect([a.channels, moved.channels]).to.deep.equal([1, 1]);
    stream.destroy();
    await a.until(({ connections }) => connections === 0);
    expect(dialer.status().nodes[0]).to.deep.include({ name: 'a', port: moved.spec.port });
  });

  it('brings a node back that was removed', async () => {
    dialer.update([a.spec]);
    dialer.update([a.spec, b.spec]);
    await roundTrip(await dial('b'));
  });

  it('gives a node whose host key was put right a fresh start', async () => {
    b.changeHostKey();
    b.cut('rst');
    await until('the failure', () => dialer.status().nodes[1]?.state === 'down');
    expect(await rejection(dial('b'))).to.be.an.instanceOf(NodeUnavailableError);
    dialer.update([a.spec, b.spec]);
    await roundTrip(await dial('b'));
  });

  it('judges host keys by the names that the node has now', async () => {
    const { username, privateKey } = a.ssh;
    const hostKeys = knownHosts(b.knownHostsLine.replace('[127.0.0.1]', '[b.internal]') + '\n');
    const spec = { ...b.spec, hostKey: undefined };
    const strict = lab.dialer([], {
      nodes: [spec],
      ssh: { username, privateKey, hostKeys },
      reconnect: { minMs: 1, maxMs: 2 },
    });
    expect(await rejection(strict.ready())).to.be.an.instanceOf(HostKeyError);
    strict.update([{ ...spec, addresses: ['b.internal'] }]);
    await until('ready', () => strict.status().nodes[0]?.state === 'ready');
    await roundTrip(await strict.dial('b', endpoint.port));
  });

  const wrong: [what: string, nodes: (a: NodeSpec) => unknown, option: string][] = [
    ['a wrong address', (spec) => [spec, { name: 'c', address: '' }], 'nodes[1].address'],
    ['two of a name', (spec) => [spec, spec], 'nodes[1].name'],
    ['no list', () => ({}), 'nodes'],
    ['nothing', () => undefined, 'nodes'],
  ];
  for (const [what, nodes, option] of wrong) {
    it(`changes nothing when it is given ${what}`, async () => {
      const stream = await dial('b');
      expect(() => dialer.update(nodes(a.spec) as NodeSpec[]))
        .to.throw(InvalidOptionError)
        .with.property('option', option);
      await roundTrip(stream);
      expect(dialer.status().nodes.map(({ name, state }) => `${name} ${state}`)).to.deep.equal([
        'a ready',
        'b ready',
      ]);
      expect([a.totalConnections, b.totalConnections]).to.deep.equal([1, 1]);
    });
  }

  it('changes nothing when a node has no host key to be judged by', async () => {
    const { username, privateKey } = a.ssh;
    const strict = lab.dialer([a], { ssh: { username, privateKey } });
    await strict.ready();
    expect(() => strict.update([{ ...b.spec, name: 'c', hostKey: undefined }]))
      .to.throw(InvalidOptionError, 'pinnedHostKey')
      .with.property('option', 'ssh.hostKeys');
    await roundTrip(await strict.dial('127.0.0.1', endpoint.port));
    expect(strict.status().nodes).to.have.length(1);
  });

  it('throws after close and after destroy', async () => {
    const closed = lab.dialer([a]);
    await closed.close();
    expect(() => closed.update([a.spec])).to.throw(ClosedError);
    const destroyed = lab.dialer([a]);
    destroyed.destroy();
    expect(() => destroyed.update([a.spec])).to.throw(ClosedError);
  });

  it('leaves streams of removed nodes to be ended by close and destroy', async () => {
    const stream = await dial('b');
    dialer.update([a.spec]);
    const errored = once(stream, 'error') as Promise<[TunnelError]>;
    dialer.destroy();
    expect((await errored)[0]).to.include({ code: 'ECONNRESET' });
    await b.until(({ connections }) => connections === 0);
  });

  it('a hundred times leaves the connections it needs, and no other', async () => {
    for (let times = 0; times < 100; times += 1) {
      dialer.update(times % 2 === 0 ? [a.spec] : [{ ...a.spec, addresses: [`a${times}.internal`] }, b.spec]);
    }
    await dialer.ready({ every: true });
    await b.until(({ connections }) => connections === 1);
    expect(a.totalConnections).to.equal(1);
    await roundTrip(await dial('b'));
  });
});
