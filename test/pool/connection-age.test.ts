import { expect } from 'chai';
import sinon, { type SinonFakeTimers } from 'sinon';
import type { TunnelSocket } from '../../lib/dialer.js';
import { ClosedError } from '../../lib/errors.js';
import { ConnectionSet } from '../../lib/pool/connection-set.js';
import { Dial, DialAttempt } from '../../lib/pool/dial.js';
import type { NodePool, NodePoolOptions } from '../../lib/pool/node-pool.js';
import { Semaphore } from '../../lib/pool/semaphore.js';
import type { SshNode } from '../../lib/testing/index.js';
import { Lab, roundTrip, turns, until, type Endpoint } from '../support/dialer.js';

const ageMs = 1000;

describe('A connection with a greatest age', () => {
  let lab: Lab;
  let node: SshNode;
  let endpoint: Endpoint;
  let clock: SinonFakeTimers | undefined;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node();
    endpoint = await lab.endpoint();
  });

  afterEach(async () => {
    clock?.restore();
    clock = undefined;
    await lab.end();
  });

  /** Time stands still from here on, but for the network. */
  const stopTime = (): SinonFakeTimers =>
    (clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));

  async function create(options: Partial<NodePoolOptions> = {}): Promise<NodePool> {
    const pool = lab.pool(node, { minConnections: 1, maxConnectionAgeMs: ageMs, ...options });
    pool.start();
    if (options.minConnections === 0) return pool;
    await until('the first', () => pool.snapshot().state === 'ready');
    return pool;
  }

  function dial(pool: NodePool): Promise<TunnelSocket> {
    const terms = new Dial({
      host: '127.0.0.1',
      port: endpoint.port,
      allowHalfOpen: false,
      timeoutMs: 20_000,
    });
    lab.onEnd(() => terms[Symbol.dispose]());
    return pool.dial(new DialAttempt(terms, node.spec.name, '127.0.0.1'));
  }

  it('is replaced a tenth before that age at the earliest, and a tenth after it at the latest', async () => {
    const { tick } = stopTime();
    await create();
    tick(0.9 * ageMs - 1);
    await turns(5);
    expect(node.totalConnections).to.equal(1);
    tick(0.2 * ageMs + 2);
    await node.until(({ totalConnections }) => totalConnections === 2);
    await node.until(({ connections }) => connections === 1);
  });

  it('is not of an age with all others of a fleet', async () => {
    const { tick } = stopTime();
    const pools = await Promise.all(Array.from({ length: 20 }, () => create()));
    const replaced = () =>
      pools.filter((pool) => {
        const { connections, counts } = pool.snapshot();
        return counts.connected + connections.connecting > 1;
      }).length;
    tick(ageMs);
    expect(replaced()).to.be.within(1, 19);
    tick(0.1 * ageMs + 1);
    expect(replaced()).to.equal(20);
  });

  it('carries dials until its successor is ready, and is closed then', async () => {
    const { tick } = stopTime();
    const permits = new Semaphore(1);
    const pool = await create({ handshakes: [permits], maxConnections: 1 });
    await turns(2);
    const held = await permits.acquire();
    tick(1.1 * ageMs + 1);
    expect(pool.snapshot()).to.deep.include({
      state: 'ready',
      connections: { ready: 1, connecting: 1, draining: 0 },
    });
    (await dial(pool)).destroy();
    expect(node.totalConnections).to.equal(1);
    held.release();
    await node.until(({ totalConnections }) => totalConnections === 2);
    await node.until(({ connections }) => connections === 1);
    expect(pool.snapshot()).to.deep.include({
      connections: { ready: 1, connecting: 0, draining: 0 },
      counts: { connected: 2, failed: 0, lost: 0 },
    });
  });

  it('keeps its streams, takes no dials beside its successor, and is closed with its last stream', async () => {
    const { tick } = stopTime();
    const pool = await create();
    const stream = await dial(pool);
    tick(1.1 * ageMs + 1);
    await until('the handing over', () => pool.snapshot().connections.draining === 1);
    const next = await dial(pool);
    await roundTrip(stream);
    await roundTrip(next);
    expect(node).to.include({ connections: 2, totalConnections: 2, channels: 2 });
    stream.destroy();
    await node.until(({ connections }) => connections === 1);
    await roundTrip(next);
  });

  /** Holds a stream on each of so many connections, all of which but the last have been replaced. */
  async function holdStreams(
    pool: NodePool,
    count: number,
    { tick }: SinonFakeTimers,
  ): Promise<TunnelSocket[]> {
    const streams = [await dial(pool)];
    while (streams.length < count) {
      tick(1.1 * ageMs + 1);
      await until('a successor', () => pool.snapshot().connections.draining === streams.length);
      streams.push(await dial(pool));
    }
    return streams;
  }

  it('stays as long as the greatest number of connections drain, and is replaced once one of those is over', async () => {
    const stopped = stopTime();
    const pool = await create({ maxConnections: 2 });
    const streams = await holdStreams(pool, 3, stopped);
    stopped.tick(5 * ageMs);
    await turns(5);
    const full = { ready: 1, connecting: 0, draining: 2 };
    expect(pool.snapshot()).to.deep.include({ state: 'ready', connections: full });
    const late = await dial(pool);
    await roundTrip(late);
    expect(node).to.include({ connections: 3, totalConnections: 3 });
    streams[0]!.destroy();
    await node.until(({ totalConnections }) => totalConnections === 4);
    await until('the handing over', () => pool.snapshot().connections.draining === 2);
    for (const stream of [streams[1]!, streams[2]!, late]) await roundTrip(stream);
    expect(pool.snapshot()).to.deep.include({ connections: full });
  });

  it('leaves room for the others that wait for a successor', async () => {
    const stopped = stopTime();
    const pool = await create({ maxConnections: 2, maxChannelsPerConnection: 2 });
    const streams = await holdStreams(pool, 2, stopped);
    // The second of those that take dials.
    streams.push(await dial(pool), await dial(pool));
    await until('both', () => pool.snapshot().connections.ready === 2);
    expect(pool.snapshot().connections).to.include({ draining: 1 });
    stopped.tick(1.1 * ageMs + 1);
    await until('one successor', () => pool.snapshot().connections.draining === 2);
    await turns(5);
    expect(pool.snapshot().connections).to.deep.equal({ ready: 2, connecting: 0, draining: 2 });
    expect(node.totalConnections).to.equal(4);
    for (const stream of streams) await roundTrip(stream);
  });

  it('stays as long as no other can be made, which is tried with the usual waits', async () => {
    const { tick } = stopTime();
    const pool = await create({ reconnect: { minMs: 10, maxMs: 20, stableMs: 10_000 } });
    node.faults.rejectKey();
    tick(1.1 * ageMs + 1);
    for (let failures = 1; failures <= 3; failures += 1) {
      await until('a failure', () => pool.snapshot().counts.failed === failures);
      expect(pool.snapshot()).to.deep.include({
        state: 'degraded',
        connections: { ready: 1, connecting: 0, draining: 0 },
      });
      const stream = await dial(pool);
      await roundTrip(stream);
      stream.destroy();
      if (failures === 3) node.faults.reset();
      tick(21);
    }
    await until('the replacement', () => pool.snapshot().state === 'ready');
    await node.until(({ connections }) => connections === 1);
  });

  it('is replaced once when it is lost before its successor is ready', async () => {
    const { tick } = stopTime();
    const permits = new Semaphore(1);
    const pool = await create({ handshakes: [permits] });
    await turns(2);
    const held = await permits.acquire();
    tick(1.1 * ageMs + 1);
    node.cut('rst');
    await until('the loss', () => pool.snapshot().counts.lost === 1);
    held.release();
    await until('another', () => pool.snapshot().counts.connected === 2);
    await turns(5);
    expect(node.totalConnections).to.equal(2);
  });

  it('has each of several replaced', async () => {
    const { tick } = stopTime();
    const pool = await create({ minConnections: 3 });
    await until('all', () => pool.snapshot().connections.ready === 3);
    tick(1.1 * ageMs + 1);
    await until('their successors', () => pool.snapshot().counts.connected === 6);
    await node.until(({ connections }) => connections === 3);
    expect(pool.snapshot().connections).to.deep.equal({ ready: 3, connecting: 0, draining: 0 });
  });

  for (const [when, idleTimeoutMs] of [
    ['when it has been idle for long enough', 2000],
    ['when it grows old itself, without a successor', 60_000],
  ] as const) {
    it(`has a successor that, if nobody uses it and it need not be kept up, is closed ${when}`, async () => {
      const { tick } = stopTime();
      const pool = await create({ minConnections: 0, idleTimeoutMs, maxConnectionAgeMs: 5000 });
      const stream = await dial(pool);
      tick(5501);
      await until('the handing over', () => pool.snapshot().connections.draining === 1);
      stream.destroy();
      await node.until(({ connections }) => connections === 1);
      tick(1999);
      await turns(5);
      expect(node).to.include({ connections: 1, totalConnections: 2 });
      tick(idleTimeoutMs === 2000 ? 2 : 3502);
      await node.until(({ connections }) => connections === 0);
      expect(node.totalConnections).to.equal(2);
    });
  }

  it('is not replaced any more when the pool is closing', async () => {
    const { tick } = stopTime();
    const pool = await create();
    const stream = await dial(pool);
    const closing = pool.close();
    tick(1.1 * ageMs + 1);
    await turns(5);
    expect(node.totalConnections).to.equal(1);
    stream.destroy();
    await closing;
  });

  it('may be as old as a timer can count', async () => {
    const { tick } = stopTime();
    await create({ maxConnectionAgeMs: 2 ** 31 - 1 });
    await create({ maxConnectionAgeMs: 2 ** 31 - 1 });
    tick(5000);
    await turns(5);
    expect(node.totalConnections).to.equal(2);
  });

  for (const how of ['close', 'destroy'] as const) {
    it(`leaves no timer after ${how}`, async () => {
      const { countTimers } = stopTime();
      const pool = await create();
      expect(countTimers()).to.be.above(0);
      await pool[how](new ClosedError('over'));
      await node.until(({ connections }) => connections === 0);
      expect(countTimers()).to.equal(0);
    });
  }

  it('has a timer that holds no process, and none once it is lost', async () => {
    const set = new ConnectionSet({
      target: lab.target(node),
      keepaliveIntervalMs: 10_000,
      keepaliveCountMax: 2,
      minConnections: 0,
      maxConnections: 1,
      maxChannelsPerConnection: 1,
      idleTimeoutMs: 60_000,
      maxConnectionAgeMs: ageMs,
      reconnect: { minMs: 5, maxMs: 20, stableMs: 10_000 },
      handshakes: [],
      needsRoom: () => false,
      onRoom: () => undefined,
      onChange: () => undefined,
    });
    lab.onEnd(() => set.destroy(new ClosedError('the test is over')));
    const { tick, countTimers } = stopTime();
    const member = set.withRoom()!;
    await member.ready;
    await turns(2);
    expect(member.timers.map((timer) => timer.hasRef())).to.deep.equal([false]);
    node.cut('rst');
    await until('the loss', () => set.counts.lost === 1);
    expect(countTimers()).to.equal(0);
    tick(2 * ageMs);
    await turns(2);
    expect(node.totalConnections).to.equal(1);
  });

  it('is replaced again and again under a stream that lives on, without a dial that fails', async () => {
    const pool = await create({ maxConnectionAgeMs: 30 });
    const stream = await dial(pool);
    let most = 0;
    while (node.totalConnections < 8) {
      const other = await dial(pool);
      await roundTrip(other);
      other.destroy();
      await roundTrip(stream);
      most = Math.max(most, node.connections);
    }
    // The one with the stream, one that is in use, its successor, and what is just being closed.
    expect(most).to.be.at.most(5);
    expect(pool.snapshot().counts).to.include({ failed: 0, lost: 0 });
  });
});
