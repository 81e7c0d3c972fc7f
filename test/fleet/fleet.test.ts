import { expect } from 'chai';
import sinon from 'sinon';
import {
  AuthenticationError,
  ClosedError,
  InvalidOptionError,
  NoRouteError,
  TransportError,
  type TunnelError,
} from '../../lib/errors.js';
import { Fleet } from '../../lib/fleet/fleet.js';
import type { Node, NodeSpec } from '../../lib/fleet/node.js';
import { checkProbe, type CheckedProbe } from '../../lib/fleet/probe.js';
import type { NodePool } from '../../lib/pool/node-pool.js';
import type { SshTarget } from '../../lib/ssh/handshake.js';
import type { PoolSnapshot } from '../../lib/pool/pool-snapshot.js';
import { turns } from '../support/dialer.js';

/** A pool that does nothing, and notes what it is told. */
class FakePool {
  readonly told: string[] = [];
  snapshotNow: PoolSnapshot = {
    state: 'idle',
    failure: undefined,
    retryInMs: 0,
    roundTripMs: undefined,
    connections: { ready: 0, connecting: 0, draining: 0 },
    channels: { open: 0, waiting: 0 },
    counts: { connected: 0, failed: 0, lost: 0 },
  };
  load: number | undefined = 0;
  bytes = { received: 0, sent: 0 };
  readonly node: Node;
  readonly #onChange: () => void;
  #closed: () => void = () => undefined;
  readonly #closing = new Promise<void>((resolve) => (this.#closed = resolve));

  constructor(node: Node, onChange: () => void) {
    this.node = node;
    this.#onChange = onChange;
  }

  start(): void {
    this.told.push('start');
  }

  warm(): void {
    this.told.push('warm');
  }

  retryNow(): void {
    this.told.push('retryNow');
  }

  retarget({ via }: SshTarget): void {
    this.told.push(`retarget ${via?.name ?? 'directly'}`);
  }

  snapshot(): PoolSnapshot {
    return this.snapshotNow;
  }

  close(): Promise<void> {
    this.told.push('close');
    return this.#closing;
  }

  leave(): Promise<void> {
    this.told.push('leave');
    return this.#closing;
  }

  destroy(error: TunnelError): Promise<void> {
    this.told.push(`destroy ${error.message}`);
    this.#closed();
    return this.#closing;
  }

  /** Its last stream is over. */
  finish(): void {
    this.#closed();
  }

  become(state: PoolSnapshot['state'], more: Partial<PoolSnapshot> = {}): void {
    this.snapshotNow = { ...this.snapshotNow, ...more, state };
    this.#onChange();
  }
}

const specs = (...names: string[]): NodeSpec[] => names.map((name) => ({ name, address: `${name}.example` }));

function create(refusing: readonly string[] = [], probe?: CheckedProbe) {
  const made: FakePool[] = [];
  const states: string[] = [];
  const fleet: Fleet = new Fleet({
    onMiss: 'any-node',
    createPool: (node, _via, onChange) => {
      if (refusing.includes(node.name)) throw new InvalidOptionError('ssh.hostKeys', 'is missing');
      const pool = new FakePool(node, onChange);
      made.push(pool);
      return pool as unknown as NodePool;
    },
    probe,
    onState: (name) => void states.push(`${name} ${fleet.status(name)?.state ?? 'gone'}`),
  });
  const poolOf = (name: string): FakePool => made.filter(({ node }) => node.name === name).at(-1)!;
  /** Whether a change was announced since the last time this was asked. */
  let changed = fleet.changed;
  const hasChanged = async (): Promise<boolean> => {
    let happened = false;
    void changed.then(() => (happened = true));
    await turns(1);
    changed = fleet.changed;
    return happened;
  };
  return { fleet, made, states, poolOf, hasChanged };
}

describe('Fleet', () => {
  describe('update', () => {
    it('makes a pool for every node, and starts it', () => {
      const { fleet, made } = create();
      fleet.update(specs('a', 'b'));
      expect(made.map(({ node, told }) => [node.name, told])).to.deep.equal([
        ['a', ['start']],
        ['b', ['start']],
      ]);
      expect(fleet.statuses().map(({ name }) => name)).to.deep.equal(['a', 'b']);
    });

    it('keeps the pool of an unchanged node', () => {
      const { fleet, made, poolOf } = create();
      fleet.update(specs('a', 'b'));
      fleet.update(specs('b', 'a'));
      expect(made).to.have.length(2);
      expect(poolOf('a').told).to.deep.equal(['start']);
      expect(fleet.statuses().map(({ name }) => name)).to.deep.equal(['b', 'a']);
    });

    it('keeps the pool of a node of which only the routes change, and routes anew', () => {
      const { fleet, made } = create();
      const node = { name: 'a', address: 'a.example', hostKey: `SHA256:${'A'.repeat(43)}` };
      fleet.update([{ ...node, podCIDRs: ['10.1.0.0/16'] }]);
      fleet.update([{ ...node, podCIDRs: ['10.2.0.0/16'], addresses: ['other.example'] }]);
      expect(made).to.have.length(1);
      expect(fleet.route('10.1.0.1', undefined).kind).to.equal('any');
      expect(fleet.route('10.2.0.1', undefined).kind).to.equal('pod');
      expect(fleet.route('other.example', undefined).kind).to.equal('node');
    });

    it('replaces the pool of a changed node, and lets the old one drain', () => {
      const { fleet, made } = create();
      fleet.update(specs('a'));
      fleet.update([{ name: 'a', address: 'a.example', port: 2222 }]);
      expect(made.map(({ told }) => told)).to.deep.equal([['start', 'leave'], ['start']]);
      const [candidate] = fleet.route('a', undefined).candidates;
      expect(fleet.pool(candidate!.node)).to.equal(made[1]);
      expect(fleet.statuses()).to.have.length(1);
    });

    it('lets the pool of a removed node drain, and knows the node no more', () => {
      const { fleet, poolOf } = create();
      fleet.update(specs('a', 'b'));
      const [candidate] = fleet.route('b', undefined).candidates;
      fleet.update(specs('a'));
      expect(poolOf('b').told).to.deep.equal(['start', 'leave']);
      expect(fleet.status('b')).to.equal(undefined);
      expect(() => fleet.route('x', 'b')).to.throw(NoRouteError);
      expect(() => fleet.pool(candidate!.node)).to.throw(ClosedError, 'b');
    });

    it('changes nothing when a node is wrong', () => {
      const { fleet, made, poolOf } = create();
      fleet.update(specs('a', 'b'));
      expect(() => fleet.update([...specs('c'), { name: 'd', address: '' }])).to.throw(InvalidOptionError);
      expect(made).to.have.length(2);
      expect(poolOf('a').told).to.deep.equal(['start']);
      expect(fleet.statuses().map(({ name }) => name)).to.deep.equal(['a', 'b']);
    });

    it('changes nothing when a pool cannot be made', async () => {
      const { fleet, poolOf, hasChanged } = create(['refused']);
      fleet.update(specs('a', 'b'));
      await hasChanged();
      expect(() => fleet.update(specs('b', 'c', 'refused'))).to.throw(InvalidOptionError);
      expect(poolOf('a').told).to.deep.equal(['start']);
      expect(poolOf('c').told).to.not.include('start');
      expect(fleet.statuses().map(({ name }) => name)).to.deep.equal(['a', 'b']);
      expect(fleet.route('a', undefined).kind).to.equal('node');
      expect(await hasChanged()).to.equal(false);
    });

    it('takes an empty list', () => {
      const { fleet, poolOf } = create();
      fleet.update(specs('a'));
      fleet.update([]);
      expect(poolOf('a').told).to.deep.equal(['start', 'leave']);
      expect(() => fleet.route('a', undefined)).to.throw(NoRouteError);
    });
  });

  it('routes to the less busy of the nodes that can carry a dial', () => {
    const { fleet, poolOf } = create();
    fleet.update(specs('a', 'b', 'c'));
    poolOf('a').load = 5;
    poolOf('b').load = 1;
    poolOf('c').load = undefined;
    const { candidates } = fleet.route('10.9.9.9', undefined);
    expect(candidates.map(({ node }) => node.name)).to.deep.equal(['b', 'a', 'c']);
  });

  it('warms every node', () => {
    const { fleet, poolOf } = create();
    fleet.update(specs('a', 'b'));
    fleet.warm();
    expect(poolOf('a').told).to.include('warm');
    expect(poolOf('b').told).to.include('warm');
  });

  describe('states', () => {
    let clock: sinon.SinonFakeTimers;

    beforeEach(() => {
      clock = sinon.useFakeTimers({ toFake: ['Date'], now: 1000 });
    });

    afterEach(() => {
      clock.restore();
    });

    it('are told once each, and known since when', () => {
      const { fleet, states, poolOf } = create();
      fleet.update(specs('a', 'b'));
      clock.tick(500);
      poolOf('a').become('connecting');
      clock.tick(500);
      poolOf('a').become('ready');
      poolOf('a').become('ready');
      expect(states).to.deep.equal(['a connecting', 'a ready']);
      expect(fleet.status('a')?.since).to.deep.equal(new Date(2000));
    });

    it('are known since they began, whether anybody was told or not', () => {
      const { fleet, poolOf } = create();
      fleet.update(specs('a'));
      clock.tick(500);
      poolOf('a').become('connecting');
      const { state, since } = fleet.status('a')!;
      expect([state, since]).to.deep.equal(['connecting', new Date(1500)]);
    });

    it('of a node that was removed or replaced are not told any more', () => {
      const { fleet, states, made } = create();
      fleet.update(specs('a'));
      fleet.update([{ name: 'a', address: 'elsewhere' }]);
      made[0]!.become('down');
      expect(states).to.deep.equal([]);
      made[1]!.become('ready');
      expect(states).to.deep.equal(['a ready']);
    });

    it('come with the cause, and the time of the next attempt', () => {
      const { fleet, poolOf } = create();
      fleet.update(specs('a'));
      poolOf('a').become('down', { failure: new AuthenticationError('refused', ['key']), retryInMs: 250 });
      expect(fleet.status('a')).to.deep.include({
        state: 'down',
        cause: { code: 'ERR_TUNNEL_AUTH', message: 'refused' },
        retryAt: new Date(1250),
      });
    });

    it('are plain data', () => {
      const { fleet, poolOf } = create();
      fleet.update(specs('a'));
      poolOf('a').become('degraded', {
        failure: new TransportError('ERR_TUNNEL_LOST', 'lost'),
        roundTripMs: 1.5,
      });
      const [status] = fleet.statuses();
      expect(structuredClone(status)).to.deep.equal(status);
      expect(JSON.parse(JSON.stringify(status))).to.deep.include({
        name: 'a',
        address: 'a.example',
        port: 22,
        state: 'degraded',
        roundTripMs: 1.5,
        connections: { ready: 0, connecting: 0, draining: 0 },
        channels: { open: 0, waiting: 0 },
        counts: { connected: 0, failed: 0, lost: 0 },
      });
    });

    it('leave out what there is not', () => {
      const { fleet } = create();
      fleet.update(specs('a'));
      expect(fleet.status('a')).to.not.have.any.keys('cause', 'retryAt', 'roundTripMs', 'clusterReady');
      fleet.update([{ name: 'a', address: 'a.example', clusterReady: false }]);
      expect(fleet.status('a')).to.include({ clusterReady: false });
    });
  });

  describe('changed', () => {
    it('happens with every news of a node, also when its state stays the same', async () => {
      const { fleet, poolOf, hasChanged } = create();
      fleet.update(specs('a'));
      expect(await hasChanged()).to.equal(true);
      expect(await hasChanged()).to.equal(false);
      poolOf('a').become('down', { failure: new TransportError('ERR_TUNNEL_LOST', 'lost') });
      expect(await hasChanged()).to.equal(true);
      poolOf('a').become('down', { failure: new AuthenticationError('refused', []) });
      expect(await hasChanged()).to.equal(true);
    });

    it('happens when the nodes become others', async () => {
      const { fleet, hasChanged } = create();
      fleet.update(specs('a', 'b'));
      await hasChanged();
      fleet.update(specs('a'));
      expect(await hasChanged()).to.equal(true);
    });
  });

  describe('jump hosts', () => {
    const bastion: NodeSpec = { name: 'bastion', address: 'bastion.example', bastion: true };
    const node: NodeSpec = { name: 'node', address: 'node.example', via: 'bastion' };

    it('have the nodes behind them tried once when they are up, and when they are up again', () => {
      const { fleet, poolOf } = create();
      fleet.update([node, bastion]);
      const retries = (): number => poolOf('node').told.filter((told) => told === 'retryNow').length;
      poolOf('bastion').become('ready');
      expect(retries()).to.equal(1);
      poolOf('bastion').become('degraded');
      poolOf('bastion').become('ready');
      expect(retries()).to.equal(1);
      poolOf('bastion').become('down');
      poolOf('bastion').become('ready');
      expect(retries()).to.equal(2);
    });

    it('forget the nodes behind them that have gone', async () => {
      const { fleet, poolOf } = create();
      fleet.update([node, bastion]);
      fleet.update([bastion]);
      poolOf('node').finish();
      await turns(2);
      poolOf('bastion').become('ready');
      expect(poolOf('node').told).to.deep.equal(['start', 'leave']);
    });

    it('stay on the way to a node when credentials change', () => {
      const { fleet, poolOf } = create();
      fleet.update([node, bastion]);
      fleet.retarget((_node, via) => ({ via }) as SshTarget);
      expect(poolOf('node').told).to.include('retarget bastion');
      expect(poolOf('bastion').told).to.include('retarget directly');
    });

    it('leave, and are closed, when nothing is left of the nodes behind them, whatever the order of the list', async () => {
      for (const nodes of [
        [bastion, node],
        [node, bastion],
      ]) {
        for (const end of ['leave', 'close']) {
          const { fleet, poolOf } = create();
          fleet.update(nodes);
          if (end === 'leave') fleet.update([]);
          else void fleet.close();
          await turns(2);
          expect(poolOf('node').told).to.include(end);
          expect(poolOf('bastion').told).to.not.include(end);
          poolOf('node').finish();
          await turns(2);
          expect(poolOf('bastion').told).to.include(end);
        }
      }
    });
  });

  describe('close and destroy', () => {
    it('close waits for every pool, also of nodes that have left', async () => {
      const { fleet, made, poolOf } = create();
      fleet.update(specs('a', 'b'));
      fleet.update(specs('a'));
      let closed = false;
      const closing = fleet.close().then(() => (closed = true));
      poolOf('a').finish();
      await turns(2);
      expect(closed).to.equal(false);
      made[1]!.finish();
      await closing;
    });

    it('destroy ends every pool, also of nodes that have left', async () => {
      const { fleet, made } = create();
      fleet.update(specs('a', 'b', 'c'));
      fleet.update([...specs('a'), { name: 'b', address: 'elsewhere' }]);
      await fleet.destroy(new ClosedError('over'));
      expect(made).to.have.length(4);
      for (const { told } of made) expect(told).to.include('destroy over');
    });

    it('forgets a pool that has drained', async () => {
      const { fleet, poolOf } = create();
      fleet.update(specs('a', 'b'));
      fleet.update(specs('a'));
      poolOf('b').finish();
      await turns(2);
      void fleet.destroy(new ClosedError('over'));
      expect(poolOf('b').told).to.deep.equal(['start', 'leave']);
    });
  });

  describe('probes', () => {
    const probe = checkProbe({ kind: 'tcp', intervalMs: 1000 }, 'probe');

    it('are not made of bastions', () => {
      const clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      try {
        const { fleet } = create([], probe);
        fleet.update([{ name: 'bastion', address: 'bastion.example', bastion: true }]);
        expect(clock.countTimers()).to.equal(0);
      } finally {
        clock.restore();
      }
    });

    for (const end of ['close', 'destroy'] as const) {
      it(`are over at ${end}(), though streams are not`, () => {
        const clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
        try {
          const { fleet } = create([], probe);
          fleet.update(specs('a'));
          expect(clock.countTimers()).to.equal(1);
          void fleet[end](new ClosedError('over'));
          expect(clock.countTimers()).to.equal(0);
        } finally {
          clock.restore();
        }
      });
    }
  });
});
