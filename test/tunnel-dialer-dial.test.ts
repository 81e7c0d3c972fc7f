import { expect } from 'chai';
import { createHash, randomBytes } from 'node:crypto';
import { EventEmitter, getEventListeners, once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import sinon from 'sinon';
import {
  ClosedError,
  DialTimeoutError,
  InvalidOptionError,
  NoRouteError,
  type TunnelError,
} from '../lib/errors.js';
import type { DialOptions } from '../lib/dialer.js';
import type { SshNode } from '../lib/testing/index.js';
import type { TunnelDialer } from '../lib/tunnel-dialer.js';
import {
  gate,
  Lab,
  read,
  readAll,
  rejection,
  roundTrip,
  silent,
  turn,
  turns,
  uncaughtDuring,
  unhandledDuring,
  until,
  warningsDuring,
  type Endpoint,
} from './support/dialer.js';

describe('TunnelDialer: dial', () => {
  let lab: Lab;
  let node: SshNode;
  let endpoint: Endpoint;
  let dialer: TunnelDialer;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node();
    endpoint = await lab.endpoint();
    dialer = lab.dialer([node]);
  });

  afterEach(async () => {
    await lab.end();
  });

  const dial = (options?: DialOptions, port = endpoint.port) => dialer.dial('127.0.0.1', port, options);

  describe('opens a stream', () => {
    it('that carries bytes both ways and knows where it goes', async () => {
      const stream = await dial();
      expect(stream).to.include({ node: 'node-1', remoteAddress: '127.0.0.1', remotePort: endpoint.port });
      await roundTrip(stream);
      expect(stream).to.include({ bytesRead: 4, bytesWritten: 4 });
    });

    it('of any amount of data both ways at once, unharmed', async () => {
      const data = randomBytes(16 * 1024 * 1024);
      const stream = await dial();
      const hash = createHash('sha256');
      const received = pipeline(stream, hash);
      await pipeline(Readable.from(chunksOf(data, 100_000)), stream, { end: true });
      await received;
      expect(hash.digest('hex')).to.equal(createHash('sha256').update(data).digest('hex'));
    });

    it('beside two hundred others, on connections of 128 each', async () => {
      const streams = await Promise.all(Array.from({ length: 200 }, () => dial()));
      await Promise.all(streams.map((stream, index) => roundTrip(stream, `stream ${index}`)));
      expect(node).to.include({ channels: 200, totalConnections: 2 });
    });

    it('that still reads after it has ended', async () => {
      const stream = await dial();
      stream.end('question');
      expect((await readAll(stream)).toString()).to.equal('question');
      await node.until(({ channels }) => channels === 0);
    });

    it("that ends with the endpoint's FIN, and ends its own side then", async () => {
      const fin = await lab.endpoint((socket) => void socket.end('bye'));
      const accepted = fin.next();
      const stream = await dial({}, fin.port);
      expect((await readAll(stream)).toString()).to.equal('bye');
      await readAll(await accepted);
      await node.until(({ channels }) => channels === 0);
      expect(stream.destroyed).to.equal(true);
    });

    it("that goes on after the endpoint's FIN with allowHalfOpen", async () => {
      const fin = await lab.endpoint((socket) => void socket.end('bye'));
      const accepted = fin.next();
      const stream = await dial({ allowHalfOpen: true }, fin.port);
      await readAll(stream);
      await turns(5);
      expect(stream.writable).to.equal(true);
      stream.end('after all');
      expect((await readAll(await accepted)).toString()).to.equal('after all');
    });

    it('that is reset by the endpoint: it ends, because sshd cannot say more', async () => {
      const resetting = await lab.endpoint(
        (socket) => void socket.once('data', () => socket.resetAndDestroy()),
      );
      const stream = await dial({}, resetting.port);
      stream.write('x');
      await readAll(stream);
    });

    it('whose timeout is emitted, and does nothing else', async () => {
      const quiet = await lab.endpoint(silent);
      const stream = await dial({}, quiet.port);
      stream.setTimeout(20);
      await once(stream, 'timeout');
      expect(stream.destroyed).to.equal(false);
    });
  });

  describe('throws InvalidOptionError before any I/O for', () => {
    const cases: [what: string, args: unknown[], option: string][] = [
      ['an empty host', ['', 1], 'host'],
      ['a host with a space', ['a b', 1], 'host'],
      ['no host', [undefined, 1], 'host'],
      ['a URL', ['https://example.com', 1], 'host'],
      ['a host with a port', ['10.0.0.1:80', 1], 'host'],
      ['port 0', ['a', 0], 'port'],
      ['port 65536', ['a', 65536], 'port'],
      ['port NaN', ['a', NaN], 'port'],
      ['port 1.5', ['a', 1.5], 'port'],
      ['port "80"', ['a', '80'], 'port'],
      ['a negative port', ['a', -1], 'port'],
      ['a timeout of 0', ['a', 1, { timeoutMs: 0 }], 'options.timeoutMs'],
      ['a signal that is none', ['a', 1, { signal: {} }], 'options.signal'],
      ['an empty node', ['a', 1, { node: '' }], 'options.node'],
      ['allowHalfOpen as text', ['a', 1, { allowHalfOpen: 'yes' }], 'options.allowHalfOpen'],
      ['an unknown option', ['a', 1, { timeout: 5 }], 'options.timeout'],
      ['options that are none', ['a', 1, 5], 'options'],
    ];
    for (const [what, args, option] of cases) {
      it(what, async () => {
        const error = await rejection<InvalidOptionError>(
          (dialer.dial as (...given: unknown[]) => Promise<unknown>).apply(dialer, args),
        );
        expect(error).to.be.an.instanceOf(InvalidOptionError).and.include({ option });
        expect(dialer.status().nodes[0]?.channels).to.deep.equal({ open: 0, waiting: 0 });
      });
    }
  });

  it('rejects a node that does not exist', async () => {
    expect(await rejection(dial({ node: 'node-9' }))).to.be.an.instanceOf(NoRouteError);
  });

  describe('given up', () => {
    const reason = { what: 'ever' };

    it('before it began rejects with the reason of the signal', async () => {
      expect(await rejection(dial({ signal: AbortSignal.abort(reason) }))).to.equal(reason);
      expect(node.totalChannels).to.equal(0);
    });

    it('while it connects rejects with the reason of the signal, and leaves no listener', async () => {
      const stalled = await lab.node({ name: 'stalled' });
      stalled.faults.stallHandshake();
      const cold = lab.dialer([stalled], { pool: { minConnections: 0 } });
      const controller = new AbortController();
      const given = rejection(cold.dial('127.0.0.1', 1, { signal: controller.signal }));
      await stalled.until(({ connections }) => connections === 1);
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(1);
      controller.abort(reason);
      expect(await given).to.equal(reason);
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
      await stalled.until(({ connections }) => connections === 0);
    });

    it('while it is queued rejects with the reason of the signal, and leaves no listener', async () => {
      const full = lab.dialer([node], { pool: { maxConnections: 1, maxChannelsPerConnection: 1 } });
      await full.dial('127.0.0.1', endpoint.port);
      const controller = new AbortController();
      const given = rejection(full.dial('127.0.0.1', endpoint.port, { signal: controller.signal }));
      await until('one who waits', () => full.status().nodes[0]?.channels.waiting === 1);
      controller.abort(reason);
      expect(await given).to.equal(reason);
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
      expect(full.status().nodes[0]?.channels).to.deep.equal({ open: 1, waiting: 0 });
    });

    it('while it is opened rejects with the reason of the signal, and a late confirmation is closed', async () => {
      (await dial()).destroy();
      const { opened, open } = gate();
      node.faults.confirmLate(opened);
      const controller = new AbortController();
      const given = rejection(dial({ signal: controller.signal }));
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      controller.abort(reason);
      expect(await given).to.equal(reason);
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
      open();
      await node.until(({ totalChannels, channels }) => totalChannels === 2 && channels === 0);
      expect(dialer.status().nodes[0]?.channels).to.deep.equal({ open: 0, waiting: 0 });
    });

    it('after it resolved changes nothing', async () => {
      const controller = new AbortController();
      const stream = await dial({ signal: controller.signal });
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
      controller.abort(reason);
      await roundTrip(stream);
    });

    it('leaves no listener when it fails either', async () => {
      node.faults.refuse({ reason: 2 });
      const { signal } = new AbortController();
      await rejection(dial({ signal }));
      expect(getEventListeners(signal, 'abort')).to.have.length(0);
    });

    it('at any moment leaves nothing on either side, a thousand times', async () => {
      const before = process.getActiveResourcesInfo().filter((kind) => kind.startsWith('T')).length;
      await dialer.ready();
      let resolved = 0;
      for (let round = 0; round < 1000; round += 1) {
        const controller = new AbortController();
        const dialled = dial({ signal: controller.signal }).then(
          (stream) => {
            resolved += 1;
            stream.destroy();
          },
          (error: unknown) => {
            expect(error).to.equal(reason);
          },
        );
        if (round % 5 === 4) await turn();
        else for (let ticks = round % 17; ticks > 0; ticks -= 1) await Promise.resolve();
        if (round % 2 === 0) await turns(round % 3);
        controller.abort(reason);
        await dialled;
        expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
      }
      await node.until(({ channels, pendingOpens }) => channels + pendingOpens === 0);
      expect(resolved).to.be.below(1000);
      expect(dialer.status().nodes[0]).to.deep.include({
        channels: { open: 0, waiting: 0 },
        connections: { ready: 1, connecting: 0, draining: 0 },
        counts: { connected: 1, failed: 0, lost: 0 },
      });
      await dialer.close();
      await node.until(({ connections }) => connections === 0);
      await turns(3);
      const after = process.getActiveResourcesInfo().filter((kind) => kind.startsWith('T')).length;
      expect(after).to.be.at.most(before);
    });
  });

  describe('with a deadline', () => {
    it('rejects with what it waited for, and a late confirmation is closed', async () => {
      (await dial()).destroy();
      const { opened, open } = gate();
      node.faults.confirmLate(opened);
      const error = await rejection<DialTimeoutError>(dial({ timeoutMs: 30 }));
      expect(error).to.be.an.instanceOf(DialTimeoutError);
      expect(error).to.include({ phase: 'open', node: 'node-1', host: '127.0.0.1', port: endpoint.port });
      open();
      await node.until(({ totalChannels, channels }) => totalChannels === 2 && channels === 0);
    });

    it('takes the default of the dialer', async () => {
      node.faults.neverAnswer();
      const hasty = lab.dialer([node], { timeouts: { dialMs: 30 } });
      expect(await rejection(hasty.dial('127.0.0.1', 1))).to.be.an.instanceOf(DialTimeoutError);
    });

    it('does not affect the stream', async () => {
      await dialer.ready();
      const clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
      try {
        const stream = await dial({ timeoutMs: 1000 });
        clock.tick(1001);
        await roundTrip(stream);
      } finally {
        clock.restore();
      }
    });
  });

  it('takes a signal of a polyfill', async () => {
    const listeners = new EventEmitter();
    const polyfill = {
      aborted: false,
      reason: undefined,
      addEventListener: (name: string, listener: () => void) => listeners.on(name, listener),
      removeEventListener: (name: string, listener: () => void) => listeners.off(name, listener),
      throwIfAborted: () => undefined,
    };
    await roundTrip(await dial({ signal: polyfill as unknown as AbortSignal }));
    expect(listeners.listenerCount('abort')).to.equal(0);
  });

  it('may be shared by a burst with one signal, without a warning', async () => {
    const { signal } = new AbortController();
    const cold = lab.dialer([node], { pool: { minConnections: 0 } });
    const burst = (): Promise<unknown> =>
      Promise.all(Array.from({ length: 50 }, () => cold.dial('127.0.0.1', endpoint.port, { signal })));
    expect(await warningsDuring(burst)).to.deep.equal([]);
    expect(getEventListeners(signal, 'abort')).to.have.length(0);
  });

  describe("called from within the user's own handlers", () => {
    it("dials in 'data'", async () => {
      const stream = await dial();
      const inner = new Promise<void>((resolve, reject) => {
        stream.once(
          'data',
          () =>
            void dial()
              .then((other) => roundTrip(other))
              .then(resolve, reject),
        );
      });
      stream.write('x');
      await inner;
    });

    it("destroys the stream in 'data', and leaves its siblings alone", async () => {
      const [stream, sibling] = [await dial(), await dial()];
      const closed = new Promise((resolve) => stream.once('close', resolve));
      stream.once('data', () => stream.destroy());
      stream.write('x');
      await closed;
      await roundTrip(sibling);
      await node.until(({ channels }) => channels === 1);
    });

    it("destroys all siblings in 'data'", async () => {
      const streams = await Promise.all(Array.from({ length: 5 }, () => dial()));
      streams[0]!.once('data', () => {
        for (const stream of streams) stream.destroy();
      });
      streams[0]!.write('x');
      await node.until(({ channels }) => channels === 0);
      await roundTrip(await dial());
    });

    it("destroys the dialer in 'data'", async () => {
      const [stream, sibling] = [await dial(), await dial()];
      const errors = [stream, sibling].map((one) => once(one, 'error') as Promise<[TunnelError]>);
      stream.once('data', () => dialer.destroy());
      stream.write('x');
      for (const [error] of await Promise.all(errors)) expect(error).to.include({ code: 'ECONNRESET' });
      await node.until(({ connections }) => connections === 0);
    });

    it("destroys the dialer in a write's callback, and in 'close'", async () => {
      for (const attach of [
        (act: () => void) =>
          dial().then((stream) => void stream.on('error', () => undefined).write('x', act)),
        (act: () => void) => dial().then((stream) => void stream.once('close', act).destroy()),
      ]) {
        const destroyed = new Promise<void>((resolve) => {
          void attach(() => {
            dialer.destroy();
            resolve();
          });
        });
        await destroyed;
        await node.until(({ connections }) => connections === 0);
        dialer = lab.dialer([node]);
      }
    });

    it('closes the dialer while the stream at hand is still open', async () => {
      const stream = await dial();
      let closing: Promise<void> | undefined;
      stream.once('data', () => {
        closing = dialer.close();
        stream.end();
      });
      stream.write('x');
      await once(stream.resume(), 'close');
      await closing;
    });

    it("replaces the nodes in 'nodeState'", async () => {
      const other = await lab.node({ name: 'other' });
      let seen: string[] = [];
      const told = new Promise<void>((resolve) => {
        dialer.on('nodeState', ({ name, state }) => {
          seen = [...seen, `${name} ${state}`];
          if (name === 'node-1' && state === 'ready') dialer.update([other.spec]);
          if (name === 'other' && state === 'ready') resolve();
        });
      });
      await told;
      await node.until(({ connections }) => connections === 0);
      expect(seen).to.include('other ready');
    });

    it("destroys the dialer in 'nodeState', which rejects the dials", async () => {
      dialer.once('nodeState', () => dialer.destroy(new Error('mine')));
      const error = await rejection<ClosedError>(dial());
      expect(error).to.be.an.instanceOf(ClosedError);
      expect(error.cause).to.include({ message: 'mine' });
      await node.until(({ connections }) => connections === 0);
    });
  });

  it('lets an exception in a data handler reach the process, and the connection and its streams live', async () => {
    const boom = new Error('boom');
    const [stream, sibling] = [await dial(), await dial()];
    const uncaught = await uncaughtDuring(async () => {
      stream.once('data', () => {
        throw boom;
      });
      stream.write('x');
      await roundTrip(sibling);
      await until('the stream', () => stream.bytesRead > 0);
    });
    expect(uncaught).to.deep.equal([boom]);
    stream.write('y');
    expect((await read(stream)).toString()).to.equal('y');
    expect(dialer.status().nodes[0]?.counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
  });

  it("lets an exception in a 'nodeState' handler reach the process, and the node be ready", async () => {
    const boom = new Error('boom');
    let unhandled: unknown[] = [];
    const uncaught = await uncaughtDuring(async () => {
      unhandled = await unhandledDuring(async () => {
        const other = lab.dialer([node]);
        other.on('nodeState', () => {
          throw boom;
        });
        await other.ready();
        await roundTrip(await other.dial('127.0.0.1', endpoint.port));
        other.removeAllListeners();
      });
    });
    expect(unhandled).to.deep.equal([]);
    expect(uncaught.length).to.be.at.least(1);
    expect(uncaught.every((error) => error === boom)).to.equal(true);
  });
});

function* chunksOf(data: Buffer, bytes: number): Iterable<Buffer> {
  for (let at = 0; at < data.length; at += bytes) yield data.subarray(at, at + bytes);
}
