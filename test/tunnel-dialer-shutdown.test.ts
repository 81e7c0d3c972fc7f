import { expect } from 'chai';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { ClosedError, TransportError, type TunnelError } from '../lib/errors.js';
import type { TunnelDialerOptions } from '../lib/options.js';
import type { SshNode } from '../lib/testing/index.js';
import type { TunnelDialer } from '../lib/tunnel-dialer.js';
import { gate, Lab, rejection, roundTrip, turns, until, type Endpoint } from './support/dialer.js';
import type { Orders } from './support/dialer-program.js';
import { runDialerProgram } from './support/run-dialer-program.js';

describe('TunnelDialer: shutdown', () => {
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

  /** Whether a promise has been fulfilled by now. */
  function watch(promise: Promise<unknown>): () => boolean {
    let isFulfilled = false;
    void promise.then(() => (isFulfilled = true));
    return () => isFulfilled;
  }

  describe('close', () => {
    it('takes no more dials, and waits for open streams', async () => {
      const dialer = lab.dialer([node]);
      const stream = await dial(dialer);
      const closing = dialer.close();
      const isClosed = watch(closing);
      expect(await rejection(dial(dialer))).to.be.an.instanceOf(ClosedError);
      await roundTrip(stream);
      expect(isClosed()).to.equal(false);
      stream.end('last');
      stream.resume();
      await closing;
      expect(stream.errored).to.equal(null);
      await node.until(({ connections }) => connections === 0);
    });

    it('waits for dials under way', async () => {
      const dialer = lab.dialer([node]);
      await dialer.ready();
      const { opened, open } = gate();
      node.faults.confirmLate(opened);
      const dialled = dial(dialer);
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      const closing = dialer.close();
      const isClosed = watch(closing);
      open();
      const stream = await dialled;
      await roundTrip(stream);
      expect(isClosed()).to.equal(false);
      stream.destroy();
      await closing;
    });

    it('waits for dials that are queued', async () => {
      const dialer = lab.dialer([node], { pool: { maxConnections: 1, maxChannelsPerConnection: 1 } });
      const held = await dial(dialer);
      const queued = dial(dialer);
      await until('one who waits', () => dialer.status().nodes[0]?.channels.waiting === 1);
      const closing = dialer.close();
      held.destroy();
      const stream = await queued;
      await roundTrip(stream);
      stream.destroy();
      await closing;
    });

    it('destroys when the grace period is over, and says so', async () => {
      const dialer = lab.dialer([node], { timeouts: { graceMs: 30 } });
      const stream = await dial(dialer);
      node.faults.neverAnswer();
      const dialled = rejection(dial(dialer));
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      const errored = once(stream, 'error') as Promise<[TunnelError]>;
      await dialer.close();
      const [error] = await errored;
      expect(error).to.be.an.instanceOf(TransportError).and.include({ code: 'ECONNRESET' });
      expect(error.cause).to.be.an.instanceOf(ClosedError);
      expect((error.cause as Error).cause).to.include({ message: 'the grace period is over' });
      expect(await dialled).to.be.an.instanceOf(ClosedError);
      await node.until(({ connections }) => connections === 0);
    });

    it('does not wait for a dial that was given up', async () => {
      const dialer = lab.dialer([node]);
      await dialer.ready();
      node.faults.neverAnswer();
      const controller = new AbortController();
      const given = rejection(dialer.dial('127.0.0.1', 1, { signal: controller.signal }));
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      controller.abort(new Error('enough'));
      await given;
      await dialer.close();
      await node.until(({ connections }) => connections === 0);
    });

    it('does not wait for streams that nobody would miss', async () => {
      const dialer = lab.dialer([node]);
      const stream = await dial(dialer);
      stream.on('error', (error) => expect.fail(String(error)));
      stream.unref();
      await dialer.close();
      expect(stream.destroyed).to.equal(true);
    });

    it('may be asked for many times, also after destroy', async () => {
      const dialer = lab.dialer([node]);
      await dialer.ready();
      expect(dialer.close()).to.equal(dialer.close());
      await dialer.close();
      const destroyed = lab.dialer([node]);
      await destroyed.ready();
      destroyed.destroy();
      await destroyed.close();
      await destroyed.close();
      await node.until(({ connections }) => connections === 0);
    });

    it('is what `await using` does', async () => {
      const dialer = lab.dialer([node]);
      await dialer.ready();
      await dialer[Symbol.asyncDispose]();
      expect(dialer.status().state).to.equal('closed');
      await node.until(({ connections }) => connections === 0);
    });

    it('is over when the sockets are closed, on our side', async () => {
      const other = await lab.node({ name: 'other' });
      const dialer = lab.dialer([node, other]);
      await dialer.ready({ every: true });
      const ports = [node, other].map(({ spec }) => spec.port);
      const sockets = () =>
        (process as unknown as { _getActiveHandles: () => unknown[] })
          ._getActiveHandles()
          .filter((handle) => handle instanceof Socket && ports.some((port) => port === handle.remotePort));
      expect(sockets()).to.have.length(2);
      await dialer.close();
      expect(sockets()).to.have.length(0);
    });
  });

  describe('destroy', () => {
    it('errors streams at once, with what it was given as the cause', async () => {
      const dialer = lab.dialer([node]);
      const stream = await dial(dialer);
      const errored = once(stream, 'error') as Promise<[TunnelError]>;
      const mine = new Error('mine');
      dialer.destroy(mine);
      expect(stream.destroyed).to.equal(true);
      const [error] = await errored;
      expect(error).to.be.an.instanceOf(TransportError).and.include({ code: 'ECONNRESET' });
      expect(error.cause).to.be.an.instanceOf(ClosedError).and.include({ cause: mine });
      await node.until(({ connections }) => connections === 0);
    });

    it('rejects dials in every phase with a ClosedError', async () => {
      const connecting = await lab.node({ name: 'connecting' });
      connecting.faults.stallHandshake();
      const dialer = lab.dialer([node, connecting], {
        pool: { maxConnections: 1, maxChannelsPerConnection: 1 },
      });
      const waitingToConnect = rejection(dialer.dial('127.0.0.1', 1, { node: 'connecting' }));
      await connecting.until(({ connections }) => connections === 1);
      node.faults.neverAnswer();
      const opening = rejection(dialer.dial('127.0.0.1', 1, { node: 'node-1' }));
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      const queued = rejection(dialer.dial('127.0.0.1', 1, { node: 'node-1' }));
      await until('one who waits', () => dialer.status().nodes[0]?.channels.waiting === 1);
      const mine = new Error('mine');
      dialer.destroy(mine);
      for (const error of await Promise.all([waitingToConnect, opening, queued])) {
        expect(error)
          .to.be.an.instanceOf(ClosedError)
          .and.include({ code: 'ERR_TUNNEL_CLOSED', cause: mine });
      }
      await Promise.all([node, connecting].map((one) => one.until(({ connections }) => connections === 0)));
    });

    it('ends a close that waits', async () => {
      const dialer = lab.dialer([node]);
      const stream = await dial(dialer);
      stream.on('error', () => undefined);
      const closing = dialer.close();
      dialer.destroy();
      await closing;
      expect(dialer.status().state).to.equal('closed');
    });

    it('may be called again, and changes nothing then', async () => {
      const dialer = lab.dialer([node]);
      const stream = await dial(dialer);
      const errors: unknown[] = [];
      stream.on('error', (error) => errors.push(error));
      dialer.destroy();
      dialer.destroy(new Error('again'));
      await turns(5);
      expect(errors).to.have.length(1);
    });

    it('ends a connection to a node that hangs', async () => {
      const dialer = lab.dialer([node]);
      await dialer.ready();
      node.pause();
      dialer.destroy();
      await dialer.close();
      node.resume();
      await node.until(({ connections }) => connections === 0);
    });
  });

  describe('lets the process exit by itself', function () {
    this.slow(5000);
    this.timeout(40_000);

    const run = (scenario: Orders['scenario'], options: Partial<TunnelDialerOptions> = {}, of = node) => {
      const { username, privateKey } = of.ssh;
      const all = { ...options, nodes: [of.spec], ssh: { username, privateKey } };
      return runDialerProgram({ scenario, options: all, port: endpoint.port });
    };

    const cases: [
      what: string,
      scenario: Orders['scenario'],
      result: string,
      act?: (one: SshNode) => unknown,
    ][] = [
      ['after close with streams', 'closeWithStreams', 'true closed'],
      ['after close that waited in vain', 'closeAfterGrace', 'closed'],
      ['after close without streams', 'closeIdle', 'closed'],
      ['after close while connecting', 'closeWhenConnecting', 'closed', (one) => one.faults.stallHandshake()],
      ['after close of a node that hangs', 'closeWhenConnecting', 'closed', (one) => one.pause()],
      ['after close in back-off', 'closeWhenDown', 'closed', (one) => one.stop()],
      ['after destroy with streams', 'destroyWithStreams', 'ECONNRESET ERR_TUNNEL_CLOSED'],
      [
        'after destroy while connecting',
        'destroyWhenConnecting',
        'ERR_TUNNEL_CLOSED ERR_TUNNEL_CLOSED',
        (one) => one.faults.stallHandshake(),
      ],
      ['after destroy in back-off', 'destroyWhenDown', 'closed', (one) => one.faults.rejectKey()],
      ['when it was never used', 'neverUsed', 'never used'],
      ['when its options were refused', 'refusedOptions', 'ERR_TUNNEL_INVALID_OPTION'],
    ];
    for (const [what, scenario, result, act] of cases) {
      it(what, async () => {
        await act?.(node);
        const graceMs = scenario === 'closeAfterGrace' ? 100 : 20_000;
        const outcome = await run(scenario, { timeouts: { graceMs } });
        expect(outcome, outcome.output).to.include({ exitCode: 0, result });
        node.resume();
        await node.until(({ connections }) => connections === 0);
      });
    }

    it('after destroy while a stream is open on a node that hangs', async () => {
      const running = run('closeAfterGrace', { timeouts: { graceMs: 300 } });
      await node.until(({ channels }) => channels === 1);
      node.pause();
      const outcome = await running;
      expect(outcome, outcome.output).to.include({ exitCode: 0, result: 'closed' });
      expect(outcome.output).to.include('ECONNRESET');
    });
  });
});
