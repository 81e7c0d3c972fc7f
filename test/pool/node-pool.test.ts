import { expect } from 'chai';
import { once } from 'node:events';
import {
  AuthenticationError,
  ClosedError,
  DialTimeoutError,
  EndpointError,
  NodeUnavailableError,
  PoolExhaustedError,
  TransportError,
  type TunnelError,
} from '../../lib/errors.js';
import { Dial, DialAttempt } from '../../lib/pool/dial.js';
import type { NodePool } from '../../lib/pool/node-pool.js';
import { Semaphore } from '../../lib/pool/semaphore.js';
import type { TunnelSocket } from '../../lib/dialer.js';
import type { SshNode } from '../../lib/testing/index.js';
import {
  gate,
  Lab,
  rejection,
  roundTrip,
  turn,
  turns,
  unhandledDuring,
  until,
  type Endpoint,
} from '../support/dialer.js';

const noWait = { minMs: 1, maxMs: 2, stableMs: 10_000 };
const longWait = { minMs: 60_000, maxMs: 60_000, stableMs: 10_000 };

describe('NodePool', () => {
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

  const attemptTo = (port = endpoint.port, timeoutMs = 20_000): DialAttempt => {
    const terms = new Dial({ host: '127.0.0.1', port, allowHalfOpen: false, timeoutMs });
    lab.onEnd(() => terms[Symbol.dispose]());
    return new DialAttempt(terms, node.spec.name, '127.0.0.1');
  };

  const dial = (pool: NodePool, port = endpoint.port): Promise<TunnelSocket> => pool.dial(attemptTo(port));

  /** For streams that the test will cut. */
  const quiet = (stream: TunnelSocket): TunnelSocket => stream.on('error', () => undefined);

  const dialMany = (pool: NodePool, count: number): Promise<TunnelSocket[]> =>
    Promise.all(Array.from({ length: count }, () => dial(pool)));

  describe('its connections', () => {
    it('are made with the first dial, and shared by all that follow', async () => {
      const pool = lab.pool(node);
      expect(pool.snapshot()).to.deep.include({
        state: 'idle',
        connections: { ready: 0, connecting: 0, draining: 0 },
      });
      await roundTrip(await dial(pool));
      await roundTrip(await dial(pool));
      expect(node.totalConnections).to.equal(1);
      expect(pool.snapshot()).to.deep.include({
        state: 'ready',
        connections: { ready: 1, connecting: 0, draining: 0 },
        channels: { open: 2, waiting: 0 },
        counts: { connected: 1, failed: 0, lost: 0 },
      });
    });

    it('take a burst on a cold node with one handshake', async () => {
      const pool = lab.pool(node);
      const streams = await dialMany(pool, 50);
      await Promise.all(streams.map((stream) => roundTrip(stream)));
      expect(node).to.include({ totalConnections: 1, handshakes: 1, channels: 50 });
    });

    it('become more when there are more streams than fit on one, up to their bound', async () => {
      const pool = lab.pool(node, { maxConnections: 3, maxChannelsPerConnection: 2 });
      await dialMany(pool, 5);
      expect(node).to.include({ totalConnections: 3, channels: 5 });
      await dialMany(pool, 1);
      expect(node.totalConnections).to.equal(3);
    });

    it('are kept up without need as many as wanted', async () => {
      const pool = lab.pool(node, { minConnections: 2 });
      pool.start();
      await node.until(({ handshakes }) => handshakes === 2);
      await until('two', () => pool.snapshot().connections.ready === 2);
    });

    it('are made for nobody in particular by warm(), unless there is one', async () => {
      const pool = lab.pool(node);
      pool.warm();
      pool.warm();
      expect(pool.snapshot().state).to.equal('connecting');
      await until('one', () => pool.snapshot().state === 'ready');
      pool.warm();
      await turns(3);
      expect(node.totalConnections).to.equal(1);
      await roundTrip(await dial(pool));
    });

    it('above those to be kept up are closed when they have been idle for a time', async () => {
      const pool = lab.pool(node, {
        minConnections: 1,
        maxConnections: 3,
        maxChannelsPerConnection: 1,
        idleTimeoutMs: 40,
      });
      for (const stream of await dialMany(pool, 3)) stream.destroy();
      await until('one to be left', () => pool.snapshot().connections.ready === 1);
      await node.until(({ connections }) => connections === 1);
      await roundTrip(await dial(pool));
    });

    it('are all closed when none is to be kept up, and made again on demand', async () => {
      const pool = lab.pool(node, { idleTimeoutMs: 40 });
      (await dial(pool)).destroy();
      await node.until(({ connections }) => connections === 0);
      expect(pool.snapshot().state).to.equal('idle');
      await roundTrip(await dial(pool));
      expect(node.totalConnections).to.equal(2);
    });

    it('made by warm() are closed when they have been idle for a time, too', async () => {
      const pool = lab.pool(node, { idleTimeoutMs: 40 });
      pool.warm();
      await until('one', () => pool.snapshot().state === 'ready');
      await until('none', () => pool.snapshot().state === 'idle');
    });

    it('are never closed for being idle while they carry a stream', async () => {
      const pool = lab.pool(node, { maxChannelsPerConnection: 2, idleTimeoutMs: 30 });
      const streams = await dialMany(pool, 3);
      streams[0]!.destroy();
      streams[2]!.destroy();
      await until('one to be left', () => pool.snapshot().connections.ready === 1);
      const witness = lab.pool(node, { idleTimeoutMs: 30 });
      for (let times = 0; times < 4; times += 1) {
        (await dial(witness)).destroy();
        await until('another to be closed', () => witness.snapshot().state === 'idle');
      }
      await roundTrip(streams[1]!);
      expect(pool.snapshot().counts.lost).to.equal(0);
    });

    it('that were made for a stream that found room elsewhere are closed when idle', async () => {
      const pool = lab.pool(node, { maxConnections: 2, maxChannelsPerConnection: 1, idleTimeoutMs: 40 });
      const held = await dial(pool);
      const attempt = attemptTo();
      const other = attemptTo();
      const given = rejection(pool.dial(attempt));
      const staying = pool.dial(other);
      await turn();
      attempt.dial.abort(new Error('enough'));
      held.destroy();
      await given;
      (await staying).destroy();
      await until('none to be left', () => pool.snapshot().state === 'idle');
      await node.until(({ connections }) => connections === 0);
    });
  });

  describe('dials', () => {
    it('do not delay each other when one hangs', async () => {
      const pool = lab.pool(node);
      node.faults.neverAnswer();
      const hanging = attemptTo();
      const hung = rejection(pool.dial(hanging));
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      node.faults.reset();
      await Promise.all((await dialMany(pool, 20)).map((stream) => roundTrip(stream)));
      expect(hanging.phase).to.equal('open');
      hanging.dial.abort(new Error('enough'));
      await hung;
    });

    it('that time out do not cost the connection that answers others, if only with a refusal', async () => {
      const pool = lab.pool(node);
      await dial(pool);
      for (let times = 0; times < 16; times += 1) {
        node.faults.neverAnswer();
        await rejection(pool.dial(attemptTo(endpoint.port, 5)));
        node.faults.reset();
        node.faults.refuse({ reason: 2, description: 'Connection refused' });
        await rejection(dial(pool));
        node.faults.reset();
      }
      await roundTrip(await dial(pool));
      expect(node.totalConnections).to.equal(1);
    });

    it('wait in turn when every connection is full, and are refused when too many wait', async () => {
      const pool = lab.pool(node, { maxConnections: 1, maxChannelsPerConnection: 2, maxQueue: 3 });
      const held = await dialMany(pool, 2);
      const order: string[] = [];
      const waiting = ['a', 'b', 'c'].map((name) => dial(pool).then((stream) => (order.push(name), stream)));
      await until('three who wait', () => pool.snapshot().channels.waiting === 3);
      const error = await rejection<PoolExhaustedError>(dial(pool));
      expect(error).to.be.an.instanceOf(PoolExhaustedError);
      expect(error).to.include({ node: 'node-1', host: '127.0.0.1', port: endpoint.port });
      expect(error.message).to.match(/raise pool\.maxConnections or pool\.maxQueue/);
      held[0]!.destroy();
      (await waiting[0]!).destroy();
      (await waiting[1]!).destroy();
      await waiting[2];
      expect(order).to.deep.equal(['a', 'b', 'c']);
      expect(node.totalConnections).to.equal(1);
    });

    it('that give up while they wait give their place to the next', async () => {
      const pool = lab.pool(node, { maxConnections: 1, maxChannelsPerConnection: 1 });
      const held = await dial(pool);
      const first = attemptTo();
      const given = rejection(pool.dial(first));
      const second = dial(pool);
      await until('two who wait', () => pool.snapshot().channels.waiting === 2);
      const reason = new Error('enough');
      first.dial.abort(reason);
      expect(await given).to.equal(reason);
      expect(pool.snapshot().channels.waiting).to.equal(1);
      held.destroy();
      await roundTrip(await second);
    });

    it('say what they wait for', async () => {
      const pool = lab.pool(node, { maxConnections: 1, maxChannelsPerConnection: 1 });
      node.faults.stallHandshake();
      const connecting = rejection<DialTimeoutError>(pool.dial(attemptTo(endpoint.port, 60)));
      expect(await connecting).to.include({ phase: 'connect', node: 'node-1' });
      node.faults.reset();
      const held = await dial(pool);
      expect(await rejection(pool.dial(attemptTo(endpoint.port, 60)))).to.include({ phase: 'queue' });
      held.destroy();
      node.faults.neverAnswer();
      expect(await rejection(pool.dial(attemptTo(endpoint.port, 60)))).to.include({ phase: 'open' });
    });

    it('that the endpoint refuses cost the connection nothing', async () => {
      const pool = lab.pool(node);
      await dial(pool);
      const { port } = endpoint;
      await endpoint.close();
      expect(await rejection(dial(pool, port)))
        .to.be.an.instanceOf(EndpointError)
        .and.include({ code: 'ECONNREFUSED' });
      expect(pool.snapshot()).to.deep.include({
        state: 'ready',
        counts: { connected: 1, failed: 0, lost: 0 },
      });
    });

    it('survive the loss of a connection that they were about to use', async () => {
      const pool = lab.pool(node);
      quiet(await dial(pool));
      node.faults.neverAnswer();
      const dialled = dial(pool);
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      node.faults.reset();
      node.cut('rst');
      await roundTrip(await dialled);
      expect(node.totalConnections).to.equal(2);
    });

    it('succeed at once after sshd was killed, though many connections were lost together', async () => {
      const pool = lab.pool(node, {
        minConnections: 1,
        maxConnections: 6,
        maxChannelsPerConnection: 1,
        reconnect: longWait,
      });
      const streams = await dialMany(pool, 6);
      const errors = streams.map((stream) => once(stream, 'error'));
      node.cut('rst');
      await Promise.all(errors);
      await roundTrip(await dial(pool));
      expect(pool.snapshot()).to.deep.include({ state: 'ready', failure: undefined });
    });

    it('that are never answered, many in a row, have the connection replaced, though it answers keepalives', async () => {
      const pool = lab.pool(node);
      const stream = await dial(pool);
      await until('a keepalive', () => pool.snapshot().roundTripMs !== undefined);
      node.faults.neverAnswer();
      for (let times = 0; times < 20 && pool.snapshot().connections.draining === 0; times += 1) {
        expect(await rejection(pool.dial(attemptTo(endpoint.port, 10)))).to.be.an.instanceOf(
          DialTimeoutError,
        );
      }
      expect(pool.snapshot().connections).to.include({ ready: 0, draining: 1 });
      node.faults.reset();
      await roundTrip(await dial(pool));
      expect(node.connections).to.equal(2);
      // What the old one carries goes on.
      await roundTrip(stream);
      stream.destroy();
      await node.until(({ connections }) => connections === 1);
    });

    it('that are answered now and then leave the connection as it is', async () => {
      const pool = lab.pool(node);
      (await dial(pool)).destroy();
      for (let rounds = 0; rounds < 3; rounds += 1) {
        node.faults.neverAnswer();
        for (let times = 0; times < 10; times += 1) await rejection(pool.dial(attemptTo(endpoint.port, 5)));
        node.faults.reset();
        (await dial(pool)).destroy();
      }
      expect(node.totalConnections).to.equal(1);
    });

    it('get no lane of a connection that is lost while they wait', async () => {
      const pool = lab.pool(node, { maxConnections: 1, maxChannelsPerConnection: 1, reconnect: noWait });
      const held = await dial(pool);
      const errored = once(held, 'error');
      const waiting = dial(pool);
      await until('one who waits', () => pool.snapshot().channels.waiting === 1);
      // A second loss, in the midst of its open, is the one that a dial survives.
      node.faults.neverAnswer();
      node.cut('rst');
      await errored;
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      node.faults.reset();
      node.cut('rst');
      await roundTrip(await waiting);
    });

    it('keep their turn when the connection is lost while they wait', async () => {
      const pool = lab.pool(node, { maxConnections: 1, maxChannelsPerConnection: 1, reconnect: noWait });
      const held = await dial(pool);
      const errored = once(held, 'error');
      const order: string[] = [];
      const waiting = ['a', 'b', 'c'].map((name) =>
        dial(pool).then((stream) => {
          order.push(name);
          stream.destroy();
        }),
      );
      await until('three who wait', () => pool.snapshot().channels.waiting === 3);
      node.cut('rst');
      await errored;
      await Promise.all(waiting);
      expect(order).to.deep.equal(['a', 'b', 'c']);
    });

    it('whose own deadline passes while they are opened have the node asked for a sign of life', async () => {
      const pool = lab.pool(node, { keepaliveIntervalMs: 150, keepaliveCountMax: 1 });
      quiet(await dial(pool));
      node.pause();
      const error = await rejection(pool.dial(attemptTo(endpoint.port, 20)));
      expect(error).to.be.an.instanceOf(DialTimeoutError);
      await until('the loss', () => pool.snapshot().counts.lost === 1);
    });
  });

  describe('a dial that gives up', () => {
    /** Whether nothing of any dial is left, on both sides. */
    const nothingLeft = async (pool: NodePool): Promise<void> => {
      await node.until(({ channels, pendingOpens }) => channels + pendingOpens === 0);
      await until('no channel', () => pool.snapshot().channels.open + pool.snapshot().channels.waiting === 0);
    };

    it('while it connects, as the only one, leaves no connection', async () => {
      node.faults.stallHandshake();
      const pool = lab.pool(node);
      const attempt = attemptTo();
      const given = rejection(pool.dial(attempt));
      await node.until(({ connections }) => connections === 1);
      attempt.dial.abort(new Error('enough'));
      await given;
      await node.until(({ connections }) => connections === 0);
      expect(pool.snapshot()).to.deep.include({
        state: 'idle',
        counts: { connected: 0, failed: 0, lost: 0 },
      });
    });

    it('while it connects leaves the connection to those who wait for it, too', async () => {
      node.pause();
      const pool = lab.pool(node);
      const [first, second] = [attemptTo(), attemptTo()];
      const given = rejection(pool.dial(first));
      const dialled = pool.dial(second);
      await node.until(({ connections }) => connections === 1);
      await turns(3);
      first.dial.abort(new Error('enough'));
      await given;
      node.resume();
      await roundTrip(await dialled);
      expect(node.totalConnections).to.equal(1);
    });

    it('at any moment does its neighbours no harm', async () => {
      for (let before = 0; before < 12; before += 1) {
        for (let after = 0; after < 12; after += 1) {
          const pool = lab.pool(node);
          const attempt = attemptTo();
          const given = pool.dial(attempt).then(
            (stream) => stream.destroy(),
            () => undefined,
          );
          for (let ticks = before; ticks > 0; ticks -= 1) await Promise.resolve();
          const neighbour = dial(pool);
          for (let ticks = after; ticks > 0; ticks -= 1) await Promise.resolve();
          attempt.dial.abort(new Error('enough'));
          await given;
          (await neighbour).destroy();
          await pool.close();
        }
      }
    });

    it('while it is queued leaves nothing, a thousand times', async () => {
      const pool = lab.pool(node, { maxConnections: 1, maxChannelsPerConnection: 1 });
      const held = await dial(pool);
      for (let round = 0; round < 1000; round += 1) {
        const attempt = attemptTo();
        const given = rejection(pool.dial(attempt));
        attempt.dial.abort(round);
        expect(await given).to.equal(round);
        attempt.dial[Symbol.dispose]();
      }
      expect(pool.snapshot().channels).to.deep.equal({ open: 1, waiting: 0 });
      held.destroy();
      await nothingLeft(pool);
      await roundTrip(await dial(pool));
    });

    it('while it is opened leaves nothing on either side, a thousand times', async () => {
      const pool = lab.pool(node, { maxConnections: 1, maxChannelsPerConnection: 20 });
      (await dial(pool)).destroy();
      for (let round = 0; round < 50; round += 1) {
        const { opened, open } = gate();
        node.faults.confirmLate(opened);
        const attempts = Array.from({ length: 20 }, () => attemptTo());
        const given = attempts.map((attempt) => rejection(pool.dial(attempt)));
        await node.until(({ pendingOpens }) => pendingOpens === 20);
        for (const attempt of attempts) attempt.dial.abort(new Error('enough'));
        await Promise.all(given);
        open();
        await nothingLeft(pool);
      }
      node.faults.reset();
      expect(node).to.include({ totalConnections: 1, totalChannels: 1001 });
      await Promise.all((await dialMany(pool, 20)).map((stream) => roundTrip(stream)));
    });

    it('while it connects leaves nothing, a hundred times', async () => {
      node.faults.stallHandshake();
      const pool = lab.pool(node);
      for (let round = 0; round < 100; round += 1) {
        const attempt = attemptTo();
        const given = rejection(pool.dial(attempt));
        await turns(round % 7);
        attempt.dial.abort(new Error('enough'));
        await given;
      }
      await node.until(({ connections }) => connections === 0);
      expect(pool.snapshot().state).to.equal('idle');
      node.faults.reset();
      await roundTrip(await dial(pool));
    });
  });

  describe('places that the node has not let go of', () => {
    it('are bounded: more dials wait until it does', async () => {
      const pool = lab.pool(node, { maxConnections: 1, maxChannelsPerConnection: 2 });
      (await dial(pool)).destroy();
      await node.until(({ channels }) => channels === 0);
      const { opened, open } = gate();
      node.faults.confirmLate(opened);
      for (let asked = 1; asked <= 4; asked += 1) {
        const attempt = attemptTo();
        const given = rejection(pool.dial(attempt));
        await node.until(({ pendingOpens }) => pendingOpens === asked);
        attempt.dial.abort(new Error('enough'));
        await given;
      }
      const fifth = dial(pool);
      await turns(20);
      expect(node.pendingOpens).to.equal(4);
      expect(pool.snapshot().channels.waiting).to.equal(1);
      node.faults.reset();
      open();
      await roundTrip(await fifth);
    });
  });

  describe('a node that cannot be connected', () => {
    it('fails the dials that wait for the connection, with the cause and the time of the next attempt', async () => {
      await node.stop();
      const pool = lab.pool(node, { reconnect: longWait });
      const [error, other] = await Promise.all([
        rejection<NodeUnavailableError>(dial(pool)),
        rejection<NodeUnavailableError>(dial(pool)),
      ]);
      for (const one of [error, other]) {
        expect(one).to.be.an.instanceOf(NodeUnavailableError);
        expect(one).to.include({ node: 'node-1', host: '127.0.0.1', port: endpoint.port });
        expect(one.cause).to.be.an.instanceOf(TransportError);
        expect(one.message)
          .to.include('ECONNREFUSED')
          .and.match(/next attempt in \d+ ms/);
      }
      expect(error.retryAt.getTime() - Date.now()).to.be.within(-10_000, 1000);
      expect(pool.snapshot()).to.deep.include({
        state: 'down',
        counts: { connected: 0, failed: 1, lost: 0 },
      });
    });

    it('fails further dials at once, without an attempt of their own', async () => {
      node.faults.rejectKey();
      const pool = lab.pool(node);
      expect(await rejection(dial(pool))).to.be.an.instanceOf(AuthenticationError);
      const error = await rejection<NodeUnavailableError>(dial(pool));
      expect(error).to.be.an.instanceOf(NodeUnavailableError);
      expect(error.cause).to.be.an.instanceOf(AuthenticationError);
      expect(error.retryAt.getTime() - Date.now()).to.be.within(14_000, 30_000);
      expect(node.totalConnections).to.equal(1);
    });

    it('tells a deadline of the connection from one of the dial', async () => {
      node.faults.stallHandshake();
      const target = { ...lab.target(node), connectMs: 50 };
      const pool = lab.pool(node, { target, reconnect: longWait });
      const error = await rejection<DialTimeoutError>(dial(pool));
      expect(error).to.be.an.instanceOf(DialTimeoutError).and.include({ phase: 'connect', node: 'node-1' });
      expect(error.message).to.include('did not finish the SSH handshake within 50 ms');
    });

    it('is degraded, and goes on carrying dials, when only further connections fail', async () => {
      const pool = lab.pool(node, { maxConnections: 2, maxChannelsPerConnection: 1, reconnect: longWait });
      const held = await dial(pool);
      node.faults.rejectKey();
      const waiting = dial(pool);
      await until('the failure', () => pool.snapshot().state === 'degraded');
      expect(pool.snapshot().failure).to.be.an.instanceOf(AuthenticationError);
      await roundTrip(held);
      held.destroy();
      await roundTrip(await waiting);
    });

    it('does not fail dials that another of its connections can carry', async () => {
      const target = { ...lab.target(node), connectMs: 1500 };
      const pool = lab.pool(node, {
        target,
        maxConnections: 2,
        maxChannelsPerConnection: 1,
        reconnect: longWait,
      });
      const held = await dial(pool);
      node.faults.stallHandshake();
      const waiting = dial(pool);
      await node.until(({ connections }) => connections === 2);
      held.destroy();
      await roundTrip(await waiting);
      expect(pool.snapshot().counts.failed).to.equal(1);
    });
  });

  describe('is loaded', () => {
    it('by its streams and the dials that wait, and not at all while it cannot carry one', async () => {
      const pool = lab.pool(node, { maxConnections: 1, maxChannelsPerConnection: 1, reconnect: longWait });
      expect(pool.load).to.equal(0);
      node.pause();
      const dialled = dial(pool);
      await turn();
      expect(pool.load).to.equal(undefined);
      node.resume();
      await dialled;
      expect(pool.load).to.equal(1);
      const attempt = attemptTo();
      const given = rejection(pool.dial(attempt));
      expect(pool.load).to.equal(2);
      attempt.dial.abort(new Error('enough'));
      await given;
      expect(pool.load).to.equal(1);
    });

    it('not at all while it is down', async () => {
      await node.stop();
      const pool = lab.pool(node, { reconnect: longWait });
      await rejection(dial(pool));
      expect(pool.load).to.equal(undefined);
    });
  });

  describe('close', () => {
    it('refuses dials, waits for streams, and leaves nothing', async () => {
      const pool = lab.pool(node, { minConnections: 1 });
      const stream = await dial(pool);
      let closed = false;
      const closing = pool.close().then(() => (closed = true));
      const error = await rejection<ClosedError>(dial(pool));
      expect(error).to.be.an.instanceOf(ClosedError).and.include({ node: 'node-1', port: endpoint.port });
      await roundTrip(stream);
      expect(closed).to.equal(false);
      expect(pool.snapshot().channels.open).to.equal(1);
      stream.end();
      stream.resume();
      await closing;
      await node.until(({ connections }) => connections === 0);
    });

    it('lets dials under way come to their end, and their streams', async () => {
      node.pause();
      const pool = lab.pool(node);
      const dialled = dial(pool);
      await node.until(({ connections }) => connections === 1);
      const closing = pool.close();
      node.resume();
      const stream = await dialled;
      await roundTrip(stream);
      stream.destroy();
      await closing;
    });

    it('is one, however often it is asked for', () => {
      const pool = lab.pool(node);
      expect(pool.close()).to.equal(pool.close());
    });

    it('of a node that is in back-off is over at once', async () => {
      await node.stop();
      const pool = lab.pool(node, { minConnections: 1, reconnect: longWait });
      pool.start();
      await until('the failure', () => pool.snapshot().state === 'down');
      await pool.close();
    });

    it('of a node on which dials waited and gave up is over at once, without a word', async () => {
      const pool = lab.pool(node, { maxConnections: 3, maxChannelsPerConnection: 2, reconnect: longWait });
      const held = await dialMany(pool, 2);
      node.faults.rejectKey();
      const attempts = [attemptTo(), attemptTo(), attemptTo()];
      const given = attempts.map((attempt) => rejection(pool.dial(attempt)));
      await until('the failure', () => pool.snapshot().state === 'degraded');
      for (const attempt of attempts) attempt.dial.abort(new Error('enough'));
      await Promise.all(given);
      const unhandled = await unhandledDuring(async () => {
        const closing = pool.close();
        for (const stream of held) stream.destroy();
        await closing;
        await turns(3);
      });
      expect(unhandled).to.deep.equal([]);
    });

    it('of a node that is being warmed is over soon, without a word', async () => {
      const unhandled = await unhandledDuring(async () => {
        for (let ticks = 0; ticks < 14; ticks += 1) {
          const pool = lab.pool(node);
          // A lane of a lost connection is left behind, which takes its time to be found useless.
          const stream = quiet(await dial(pool));
          stream.destroy();
          await node.until(({ channels }) => channels === 0);
          node.cut('rst');
          await until('the loss', () => pool.snapshot().counts.lost === 1);
          pool.warm();
          for (let left = ticks; left > 0; left -= 1) await Promise.resolve();
          await pool.close();
        }
      });
      expect(unhandled).to.deep.equal([]);
      await node.until(({ connections }) => connections === 0);
    });

    it('makes no more attempts for dials that have given up', async () => {
      node.faults.rejectKey();
      const permits = new Semaphore(1);
      const pool = lab.pool(node, { handshakes: [permits], reconnect: noWait });
      await rejection(dial(pool));
      await pool.close();
      const attempts = node.totalConnections;
      await turns(20);
      expect(node.totalConnections).to.equal(attempts);
    });
  });

  describe('destroy', () => {
    it('errors streams and dials at once', async () => {
      const pool = lab.pool(node);
      const stream = await dial(pool);
      const errored = once(stream, 'error') as Promise<[TunnelError]>;
      node.faults.neverAnswer();
      const attempt = attemptTo();
      const dialled = rejection(pool.dial(attempt));
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      const error = new ClosedError('destroyed');
      attempt.dial.abort(error);
      const destroyed = pool.destroy(error);
      expect((await errored)[0]).to.include({ code: 'ECONNRESET', cause: error });
      expect(await dialled).to.equal(error);
      await destroyed;
      await node.until(({ connections }) => connections === 0);
    });

    it('ends a close that waits for streams', async () => {
      const pool = lab.pool(node);
      const stream = await dial(pool);
      stream.on('error', () => undefined);
      const closing = pool.close();
      await turns(3);
      void pool.destroy(new ClosedError('destroyed'));
      await closing;
      expect(stream.destroyed).to.equal(true);
    });
  });
});
