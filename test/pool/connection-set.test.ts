import { expect } from 'chai';
import sinon from 'sinon';
import type { AbortableSignal } from '../../lib/abortable-signal.js';
import { ClosedError, TransportError, type TunnelError } from '../../lib/errors.js';
import { ConnectionSet, type ConnectionSetOptions } from '../../lib/pool/connection-set.js';
import type { Member } from '../../lib/pool/members.js';
import type { HandshakeBound, Standing } from '../../lib/pool/handshake-permits.js';
import { Semaphore, type Permit } from '../../lib/pool/semaphore.js';
import type { TunnelSocket } from '../../lib/dialer.js';
import type { SshNode } from '../../lib/testing/index.js';
import { Lab, rejection, turns, until } from '../support/dialer.js';

describe('ConnectionSet', () => {
  let lab: Lab;
  let node: SshNode;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node();
  });

  afterEach(async () => {
    await lab.end();
  });

  /** A set of up to three connections with two lanes each, as many as `wanted` lanes of which are lent. */
  function create(options: Partial<ConnectionSetOptions> = {}) {
    const world = { wanted: 0, changes: 0 };
    const lanes: Member[] = [];
    const borrow = (): void => {
      while (lanes.length < world.wanted) {
        const member = set.withRoom();
        if (member === undefined) return;
        member.lanes += 1;
        lanes.push(member);
      }
    };
    const set: ConnectionSet = new ConnectionSet({
      target: lab.target(node),
      keepaliveIntervalMs: 10_000,
      keepaliveCountMax: 2,
      minConnections: 1,
      maxConnections: 3,
      maxChannelsPerConnection: 2,
      idleTimeoutMs: 60_000,
      reconnect: { minMs: 5, maxMs: 20, stableMs: 10_000 },
      handshakes: [new Semaphore(4)],
      needsRoom: () => lanes.length < world.wanted,
      onRoom: borrow,
      onChange: () => (world.changes += 1),
      ...options,
    });
    lab.onEnd(() => set.destroy(new ClosedError('the test is over')));
    const want = (count: number): void => {
      world.wanted = count;
      borrow();
    };
    return { set, world, lanes, want };
  }

  /** A stream on one of the connections, which the test may cut. */
  async function openStream({ connection }: Member): Promise<TunnelSocket> {
    const { port } = await lab.endpoint();
    const request = { host: '127.0.0.1', port, allowHalfOpen: false, onFree: () => undefined };
    const socket = await connection.open(request, new AbortController().signal);
    return socket.on('error', () => undefined);
  }

  const allReady = ({ members }: ConnectionSet): boolean =>
    [...members].every(({ connection }) => connection.state === 'ready');

  it('makes the connections that are to be kept up, and no more', async () => {
    const { set } = create({ minConnections: 2 });
    expect(set.size).to.equal(0);
    set.maintain();
    expect(set.size).to.equal(2);
    await until('two connections', () => allReady(set));
    set.maintain();
    await turns(3);
    expect(node.totalConnections).to.equal(2);
    expect(set.counts).to.deep.equal({ connected: 2, failed: 0, lost: 0 });
  });

  it('tells when it makes a connection, and when that is ready and over', async () => {
    const { set, world } = create({ minConnections: 0 });
    const member = set.withRoom()!;
    expect(world.changes).to.equal(1);
    await member.ready;
    await until('word of it', () => world.changes === 2);
    node.cut('rst');
    await until('the loss', () => set.counts.lost === 1);
    expect(world.changes).to.equal(3);
  });

  it('makes those that are wanted as soon as one has succeeded, though an attempt before it failed', async () => {
    node.faults.rejectKey();
    const { set } = create({
      minConnections: 2,
      handshakes: [new Semaphore(1)],
      reconnect: { minMs: 60_000, maxMs: 60_000, stableMs: 1 },
      onChange: () => {
        if (set.counts.failed > 0) node.faults.reset();
      },
    });
    set.maintain();
    await until('two', () => set.counts.connected === 2);
    expect(set.counts.failed).to.equal(1);
  });

  it('makes none before one is wanted', async () => {
    const { set } = create({ minConnections: 0 });
    set.maintain();
    await turns(3);
    expect([set.size, node.totalConnections]).to.deep.equal([0, 0]);
  });

  it('fills a connection before it makes another, up to its bound', async () => {
    const { set, lanes, want } = create({ minConnections: 0 });
    want(2);
    expect(set.size).to.equal(1);
    want(3);
    expect(set.size).to.equal(2);
    want(100);
    expect([set.size, lanes.length]).to.deep.equal([3, 6]);
    await until('all', () => allReady(set));
    expect(node.totalConnections).to.equal(3);
    expect(lanes.map(({ lanes: count }) => count)).to.deep.equal([2, 2, 2, 2, 2, 2]);
  });

  it('gives lanes on connections that are ready before those that are being made', async () => {
    const { set, lanes, want } = create();
    set.maintain();
    await until('one', () => allReady(set));
    want(3);
    expect(lanes[2]?.connection.state).to.not.equal('ready');
    const [ready, connecting] = [lanes[0]!, lanes[2]!];
    ready.lanes -= 1;
    expect(set.withRoom()).to.equal(ready);
    ready.lanes += 1;
    expect(set.withRoom()).to.equal(connecting);
  });

  it('gives lanes on a connection that is ready though an older one is still being made', async () => {
    node.faults.stallHandshake();
    const { set, lanes, want } = create({ minConnections: 0 });
    want(2);
    await node.until(({ connections }) => connections === 1);
    node.faults.reset();
    want(3);
    const [older, newer] = [lanes[0]!, lanes[2]!];
    await newer.ready;
    older.lanes -= 1;
    expect(older.connection.state).to.equal('connecting');
    expect(set.withRoom()).to.equal(newer);
  });

  it('gives lanes on the oldest of those that are being made', async () => {
    node.faults.stallHandshake();
    const { set, lanes, want } = create({ minConnections: 0 });
    want(4);
    const [older, newer] = [lanes[0]!, lanes[2]!];
    expect(newer).to.not.equal(older);
    for (const member of [older, newer]) member.lanes -= 1;
    expect(set.withRoom()).to.equal(older);
    await node.until(({ connections }) => connections === 2);
  });

  it('has no more handshakes under way than permits', async () => {
    node.faults.stallHandshake();
    const { set, want } = create({
      maxConnections: 10,
      handshakes: [new Semaphore(3), new Semaphore(2)],
      target: lab.target(node, { connectMs: 100 }),
      reconnect: { minMs: 10_000, maxMs: 10_000, stableMs: 1 },
    });
    want(20);
    expect(set.size).to.equal(10);
    await node.until(({ connections }) => connections === 2);
    await turns(5);
    expect(node.totalConnections).to.equal(2);
    let most = 0;
    await until('all attempts', () => {
      most = Math.max(most, node.connections);
      return set.counts.failed === 10;
    });
    expect(most).to.be.at.most(2);
    expect(node.totalConnections).to.be.at.most(10);
  });

  it('gives permits back, whatever becomes of the attempts', async () => {
    const permits = new Semaphore(1);
    const { set } = create({ handshakes: [permits] });
    set.maintain();
    await until('one', () => allReady(set));
    await turns(2);
    expect(permits.available).to.equal(1);
    node.faults.rejectKey();
    // No second attempt holds the permit when we look.
    const reconnect = { minMs: 10_000, maxMs: 10_000, stableMs: 1 };
    const failing = create({ handshakes: [permits], reconnect });
    failing.set.maintain();
    await until('a failure', () => failing.set.counts.failed === 1);
    await turns(2);
    expect(permits.available).to.equal(1);
  });

  describe('asks for permits', () => {
    /** A bound that there is always room in, and that notes for whom it is asked. */
    class Bound implements HandshakeBound {
      readonly standings: Standing[] = [];
      isWanted = false;

      acquire(_signal: AbortableSignal, standing: Standing): Promise<Permit> {
        this.standings.push(standing);
        return Promise.resolve({ release: () => undefined, [Symbol.dispose]: () => undefined });
      }
    }

    let bound: Bound;
    let clock: sinon.SinonFakeTimers;

    beforeEach(() => {
      bound = new Bound();
      clock = sinon.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    });

    afterEach(() => clock.restore());

    it('as one that has been connected, once it has been', async () => {
      const { set } = create({ handshakes: [bound] });
      set.maintain();
      await until('the connection', () => allReady(set));
      node.cut('rst');
      await until('its successor', () => set.counts.connected === 2);
      expect(bound.standings).to.deep.equal(['unknown', 'proven']);
    });

    it('and gives up a node that says nothing only when others wait for one', async () => {
      node.faults.silent();
      const reconnect = { minMs: 600_000, maxMs: 600_000, stableMs: 1 };
      const { set } = create({ handshakes: [bound], reconnect });
      set.maintain();
      await node.until(({ connections }) => connections === 1);
      clock.tick(2000);
      await turns(5);
      expect(set.counts.failed).to.equal(0);
      bound.isWanted = true;
      clock.tick(2000);
      await until('the failure', () => set.counts.failed === 1);
      expect(set.reconnect.failure?.message).to.include('others wait');
    });

    it('as one that is silent after that, and is not given up before its time again', async () => {
      node.faults.silent();
      const { set } = create({
        handshakes: [bound],
        target: lab.target(node, { connectMs: 60 }),
        reconnect: { minMs: 1, maxMs: 1, stableMs: 1 },
      });
      bound.isWanted = true;
      set.maintain();
      await until('the failure', () => set.counts.failed === 1);
      set.retarget(lab.target(node, { connectMs: 60_000 }));
      await until('the next attempt', () => bound.standings.length > 1 && node.connections > 0);
      const failed = set.counts.failed;
      clock.tick(2000);
      await turns(5);
      expect(set.counts.failed).to.equal(failed);
      expect(bound.standings.slice(0, 2)).to.deep.equal(['unknown', 'silent']);
    });
  });

  it('gives up its place among those who wait for a permit when it is destroyed', async () => {
    const permits = new Semaphore(1);
    const held = await permits.acquire();
    const { set } = create({ handshakes: [permits] });
    set.maintain();
    expect(permits.pending).to.equal(1);
    set.destroy(new ClosedError('destroyed'));
    await turns(2);
    expect(permits.pending).to.equal(0);
    held.release();
    expect([set.size, node.totalConnections]).to.deep.equal([0, 0]);
  });

  it('does not pile up those who wait for a permit while attempts are given up', async () => {
    const permits = new Semaphore(1);
    const held = await permits.acquire();
    const { set } = create({ handshakes: [permits], minConnections: 0 });
    for (let times = 0; times < 100; times += 1) {
      set.withRoom();
      set.abandonAttempts();
      await turns(1);
    }
    expect(permits.pending).to.be.at.most(3);
    held.release();
    await turns(10);
    expect([set.size, node.totalConnections]).to.deep.equal([0, 0]);
  });

  it('tries again by itself after failures, and is connected when the node is back', async () => {
    await node.stop();
    const { set, world } = create();
    set.maintain();
    await until('some failures', () => set.counts.failed >= 4);
    expect(set.reconnect.failure).to.be.an.instanceOf(TransportError);
    expect(world.changes).to.be.at.least(4);
    await node.start();
    await until('a connection', () => set.size === 1 && allReady(set));
    expect(set.reconnect.failure).to.equal(undefined);
    expect(set.counts.connected).to.equal(1);
  });

  it('makes no attempt while a failure is being waited out', async () => {
    await node.stop();
    const { set } = create({ reconnect: { minMs: 60_000, maxMs: 60_000, stableMs: 1 } });
    set.maintain();
    await until('a failure', () => set.counts.failed === 1);
    expect(set.withRoom()).to.equal(undefined);
    set.maintain();
    expect([set.size, set.counts.failed]).to.deep.equal([0, 1]);
  });

  it('replaces a lost connection at once', async () => {
    const { set } = create({ reconnect: { minMs: 60_000, maxMs: 60_000, stableMs: 1 } });
    set.maintain();
    await until('one', () => allReady(set));
    const [before] = set.members;
    node.cut('rst');
    await until('another', () => set.counts.connected === 2);
    const [after] = set.members;
    expect(after).to.not.equal(before);
    expect(set.has(before!)).to.equal(false);
    expect(set.counts).to.deep.equal({ connected: 2, failed: 0, lost: 1 });
  });

  it('replaces one that the node ends for being unused as often as that happens', async () => {
    const clock = sinon.useFakeTimers({ toFake: ['performance'] });
    try {
      const { set } = create({ reconnect: { minMs: 60_000, maxMs: 60_000, stableMs: 10_000 } });
      set.maintain();
      for (let times = 1; times <= 8; times += 1) {
        await until('a connection', () => set.counts.connected === times);
        clock.tick(1000);
        node.cut('fin');
      }
      await until('another', () => set.counts.connected === 9);
      expect(set.counts).to.deep.equal({ connected: 9, failed: 0, lost: 8 });
      expect(set.reconnect.failure).to.equal(undefined);
    } finally {
      clock.restore();
    }
  });

  for (const [what, isUsed, ageMs] of [
    ['that carries a stream', true, 1000],
    ['that nobody has used yet', false, 400],
  ] as const) {
    it(`waits when one ${what} is lost for the fourth time`, async () => {
      const clock = sinon.useFakeTimers({ toFake: ['performance'] });
      try {
        const { set } = create({ reconnect: { minMs: 60_000, maxMs: 60_000, stableMs: 10_000 } });
        set.maintain();
        for (let times = 1; times <= 4; times += 1) {
          await until('a connection', () => set.counts.connected === times);
          expect(set.reconnect.failure).to.equal(undefined);
          const [member] = set.members;
          if (isUsed) await openStream(member!);
          clock.tick(ageMs);
          node.cut('rst');
          await until('the loss', () => set.counts.lost === times);
          clock.tick(1);
        }
        expect(set.reconnect.failure).to.be.an.instanceOf(TransportError);
        expect(set.size).to.equal(0);
      } finally {
        clock.restore();
      }
    });
  }

  it('does not replace one that is not to be kept up', async () => {
    const { set, lanes, world } = create({ minConnections: 0 });
    set.withRoom();
    await until('one', () => allReady(set));
    node.cut('fin');
    await until('the loss', () => set.counts.lost === 1);
    await turns(5);
    expect([set.size, node.totalConnections, lanes.length, world.wanted]).to.deep.equal([0, 1, 0, 0]);
  });

  it('tells those who wait for a connection why there is none', async () => {
    node.faults.rejectKey();
    const { set } = create({ minConnections: 0 });
    const member = set.withRoom();
    expect(await rejection<TunnelError>(member!.ready)).to.include({ code: 'ERR_TUNNEL_AUTH' });
    expect(set.reconnect.failure).to.include({ code: 'ERR_TUNNEL_AUTH' });
  });

  it('asks for a sign of life with each dial that is not answered, and replaces a connection after sixteen in a row', async () => {
    const { set } = create();
    set.maintain();
    await until('one', () => allReady(set));
    const [member] = set.members;
    const { connection } = member!;
    const stream = await openStream(member!);
    await until('the answer to the first keepalive', () => connection.roundTripMs !== undefined);
    for (let times = 1; times < 16; times += 1) {
      const before = connection.roundTripMs;
      set.suspect(member!);
      await until('an answer', () => connection.roundTripMs !== before);
      expect(set.has(member!)).to.equal(true);
    }
    set.suspect(member!);
    expect(set.has(member!)).to.equal(false);
    expect([set.size, set.draining.size, stream.destroyed]).to.deep.equal([1, 1, false]);
    await until('another', () => set.counts.connected === 2);
    expect(set.counts).to.include({ failed: 0, lost: 0 });
  });

  it('only asks a connection that answers no dials for a sign of life while as many drain as may', async () => {
    const { set } = create({ maxConnections: 1 });
    const streams: TunnelSocket[] = [];
    const ready = async (): Promise<Member> => {
      await until('one', () => set.size === 1 && allReady(set));
      const [member] = set.members;
      streams.push(await openStream(member!));
      return member!;
    };
    const suspectOften = (member: Member): void => {
      for (let times = 0; times < 16; times += 1) set.suspect(member);
    };
    set.maintain();
    suspectOften(await ready());
    expect([set.size, set.draining.size]).to.deep.equal([1, 1]);
    const second = await ready();
    const asked = sinon.spy(second.connection, 'probeNow');
    suspectOften(second);
    expect([set.has(second), set.draining.size, asked.callCount]).to.deep.equal([true, 1, 16]);
    streams[0]!.destroy();
    await until('room to drain', () => set.draining.size === 0);
    set.suspect(second);
    expect([set.has(second), set.draining.size, streams[1]!.destroyed]).to.deep.equal([false, 1, false]);
  });

  it('keeps nothing of a connection that is suspected or unused when it is over already', async () => {
    const { set } = create({ minConnections: 0 });
    const member = set.withRoom()!;
    await member.ready;
    node.cut('rst');
    await until('the loss', () => set.counts.lost === 1);
    const other = set.withRoom()!;
    await other.ready;
    for (let times = 0; times < 20; times += 1) set.suspect(member);
    set.releaseUnused(member);
    expect([...set.members]).to.deep.equal([other]);
    expect(set.draining.size).to.equal(0);
    await set.close();
  });

  it('closes a connection above those to be kept up when nobody uses it, and no other', async () => {
    const { set, lanes, want } = create({ minConnections: 1 });
    want(3);
    await until('two', () => allReady(set));
    const [first, second] = [lanes[0]!, lanes[2]!];
    set.releaseUnused(second);
    expect(set.size).to.equal(2);
    second.lanes = 0;
    set.releaseUnused(second);
    expect(set.has(second)).to.equal(false);
    await node.until(({ connections }) => connections === 1);
    first.lanes = 0;
    set.releaseUnused(first);
    expect(set.has(first)).to.equal(true);
  });

  it('gives up attempts above those to be kept up, and no connection that is ready', async () => {
    const { set, want } = create({ minConnections: 1 });
    set.maintain();
    await until('one', () => allReady(set));
    node.faults.stallHandshake();
    want(5);
    expect(set.size).to.equal(3);
    await node.until(({ connections }) => connections === 3);
    set.abandonAttempts();
    expect(set.size).to.equal(1);
    await node.until(({ connections }) => connections === 1);
    expect(set.counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
  });

  it('does not give up attempts for connections that are to be kept up', async () => {
    node.faults.stallHandshake();
    const { set } = create({ minConnections: 2 });
    set.maintain();
    const members = [...set.members];
    await node.until(({ connections }) => connections === 2);
    set.abandonAttempts();
    expect([...set.members]).to.deep.equal(members);
  });

  for (const how of ['close', 'destroy'] as const) {
    it(`leaves no timer after ${how} while a failure is being waited out`, async () => {
      const clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      try {
        await node.stop();
        const { set } = create({ reconnect: { minMs: 60_000, maxMs: 60_000, stableMs: 1 } });
        set.maintain();
        await until('a failure', () => set.counts.failed === 1);
        expect(clock.countTimers()).to.be.above(0);
        if (how === 'close') await set.close();
        else set.destroy(new ClosedError('destroyed'));
        expect(clock.countTimers()).to.equal(0);
      } finally {
        clock.restore();
      }
    });
  }

  it('closes with the sockets of its connections, while it makes no more', async () => {
    const { set, want } = create();
    want(4);
    await until('two', () => allReady(set));
    const connections = [...set.members].map(({ connection }) => connection);
    const closing = set.close();
    const events: string[] = [];
    for (const { gone } of connections) void gone.then(() => events.push('socket'));
    await closing.then(() => events.push('set'));
    expect(events).to.deep.equal(['socket', 'socket', 'set']);
    expect(set.size).to.equal(0);
    expect(set.withRoom()).to.equal(undefined);
    await node.until(({ connections }) => connections === 0);
    set.maintain();
    expect(set.size).to.equal(0);
  });

  it('closes with the last of its streams', async () => {
    const { set, want } = create();
    want(4);
    await until('two', () => allReady(set));
    const streams = await Promise.all([...set.members].map((member) => openStream(member)));
    let closed = false;
    const closing = set.close().then(() => (closed = true));
    streams[0]!.destroy();
    await node.until(({ connections }) => connections === 1);
    await turns(5);
    expect(closed).to.equal(false);
    streams[1]!.destroy();
    await closing;
  });

  it('closes in the midst of attempts and back-offs', async () => {
    node.faults.stallHandshake();
    const connecting = create();
    connecting.set.maintain();
    await node.until(({ connections }) => connections === 1);
    await connecting.set.close();
    await node.until(({ connections }) => connections === 0);
    await node.stop();
    const failing = create();
    failing.set.maintain();
    await until('a failure', () => failing.set.counts.failed > 0);
    await failing.set.close();
    const { failed } = failing.set.counts;
    await turns(10);
    expect(failing.set.counts.failed).to.equal(failed);
  });

  it('keeps nothing up while it is closing, but makes connections that are wanted', async () => {
    const { set, want } = create();
    set.maintain();
    await until('one', () => allReady(set));
    set.beginClosing();
    node.cut('rst');
    await until('the loss', () => set.counts.lost === 1);
    await turns(5);
    expect(set.size).to.equal(0);
    want(1);
    await until('another', () => set.counts.connected === 2);
  });

  it('is destroyed at once, with what drains and what connects', async () => {
    const { set, lanes, want } = create({ minConnections: 0 });
    want(1);
    await until('one', () => allReady(set));
    const socket = await openStream(lanes[0]!);
    const errored = new Promise((resolve) => socket.once('error', resolve));
    lanes[0]!.lanes = 0;
    set.releaseUnused(lanes[0]!);
    expect([set.size, set.draining.size]).to.deep.equal([0, 1]);
    node.faults.stallHandshake();
    want(2);
    const error = new ClosedError('destroyed');
    set.destroy(error);
    expect(await errored).to.include({ code: 'ECONNRESET', cause: error });
    expect([set.size, set.draining.size]).to.deep.equal([0, 0]);
    await set.close();
    await node.until(({ connections }) => connections === 0);
    expect(set.counts).to.include({ failed: 0, lost: 0 });
    set.beginClosing();
    expect(set.withRoom()).to.equal(undefined);
  });
});
