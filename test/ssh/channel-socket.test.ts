import { expect } from 'chai';
import { once } from 'node:events';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import sinon from 'sinon';
import { ClosedError, EndpointError, TransportError, type TunnelError } from '../../lib/errors.js';
import { WINDOW_BYTES } from '../../lib/ssh/channel.js';
import { ChannelSocket } from '../../lib/ssh/channel-socket.js';
import { read, readAll, rejection, turn, turns, uncaughtDuring } from '../support/dialer.js';
import { FakePeer } from '../support/fake-peer.js';

const lostError = new TransportError('ECONNRESET', 'the stream was cut');

function open({ host = '10.0.0.1', allowHalfOpen = false } = {}) {
  const peer = new FakePeer();
  let connectionError: TunnelError | undefined;
  const socket = new ChannelSocket({
    node: 'node-1',
    host,
    port: 10250,
    allowHalfOpen,
    channel: (listener) => peer.open(listener),
    connectionError: () => connectionError,
  });
  const lose = (error: TunnelError = lostError) => {
    connectionError = error;
    peer.channel.lost();
  };
  return { peer, socket, lose };
}

const codeOf = (error: NodeJS.ErrnoException): string => error.code ?? error.message;

/** What becomes of a stream: every event that tells a user something, in order. */
function observe(socket: ChannelSocket): string[] {
  const events: string[] = [];
  for (const name of ['end', 'finish', 'close'] as const) socket.on(name, () => void events.push(name));
  socket.on('error', (error) => void events.push(codeOf(error)));
  return events;
}

const closed = (socket: ChannelSocket): Promise<void> =>
  new Promise((resolve) => socket.once('close', resolve));

/** Writes and notes how each write went, in the order of the callbacks. */
function writes(socket: ChannelSocket) {
  const outcomes: string[] = [];
  const write = (text: string) =>
    socket.write(text, (error) => void outcomes.push(`${text} ${error ? codeOf(error) : 'done'}`));
  return { outcomes, write };
}

describe('ChannelSocket', () => {
  describe('passes for a net.Socket', () => {
    it('names the node and the endpoint', () => {
      const { socket } = open();
      expect(socket).to.include({
        node: 'node-1',
        remoteAddress: '10.0.0.1',
        remotePort: 10250,
        remoteFamily: 'IPv4',
        connecting: false,
        pending: false,
        readyState: 'open',
        timeout: 0,
      });
      expect(open({ host: 'fd00::1' }).socket.remoteFamily).to.equal('IPv6');
      expect(open({ host: 'kubernetes.default.svc' }).socket.remoteFamily).to.equal(undefined);
      expect(socket.address()).to.deep.equal({});
    });

    it('returns itself from what net.Socket does', () => {
      const { socket } = open();
      expect(socket.setNoDelay()).to.equal(socket);
      expect(socket.setKeepAlive()).to.equal(socket);
      expect(socket.setTimeout(0)).to.equal(socket);
      expect(socket.ref()).to.equal(socket);
      expect(socket.unref()).to.equal(socket);
      expect(socket.resetAndDestroy()).to.equal(socket);
      expect(socket.destroyed).to.equal(true);
    });

    it('tells by unref and ref whether anybody would miss it', () => {
      const { peer, socket } = open();
      socket.unref();
      socket.ref();
      expect(peer.marks).to.deep.equal(['idle', 'busy']);
    });

    it('counts what arrives and what is written, also what still waits', () => {
      const { peer, socket } = open();
      peer.deliver('12345');
      expect(socket.bytesRead).to.equal(5);
      socket.write('123');
      peer.canWrite = false;
      socket.write('4567');
      expect(socket.bytesWritten).to.equal(7);
    });

    it('never counts more bytes as written than were written', () => {
      const { peer, socket } = open();
      peer.hold();
      socket.write('a'.repeat(1000));
      // These go out together, though too large to be one packet.
      socket.write('b'.repeat(30_000));
      socket.write('c'.repeat(30_000));
      const counts = [socket.bytesWritten];
      for (let released = 0; released < 3; released += 1) {
        peer.release();
        counts.push(socket.bytesWritten);
      }
      expect(counts).to.deep.equal([61_000, 61_000, 61_000, 61_000]);
    });

    it('knows the state in which each side is', async () => {
      const { peer, socket } = open({ allowHalfOpen: true });
      socket.end();
      expect(socket.readyState).to.equal('readOnly');
      const other = open({ allowHalfOpen: true });
      other.peer.peerEof();
      await readAll(other.socket);
      expect(other.socket.readyState).to.equal('writeOnly');
      peer.peerEof();
      await readAll(socket);
      expect(socket.readyState).to.equal('closed');
    });
  });

  describe('setTimeout', () => {
    let clock: sinon.SinonFakeTimers;

    beforeEach(() => {
      clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    });

    afterEach(() => {
      clock.restore();
    });

    it('emits timeout after a silence, leaves the stream as it is, and does so again after more traffic', () => {
      const { peer, socket } = open();
      let timeouts = 0;
      socket.on('timeout', () => (timeouts += 1));
      socket.setTimeout(1000);
      expect(socket.timeout).to.equal(1000);
      clock.tick(1000);
      expect([timeouts, socket.destroyed]).to.deep.equal([1, false]);
      clock.tick(10_000);
      expect(timeouts).to.equal(1);
      peer.deliver('x');
      clock.tick(1000);
      expect(timeouts).to.equal(2);
    });

    it('counts from the last byte in either direction', () => {
      const { peer, socket } = open();
      let timeouts = 0;
      socket.setTimeout(1000, () => (timeouts += 1));
      clock.tick(900);
      peer.deliver('x');
      clock.tick(900);
      socket.write('x');
      clock.tick(999);
      expect(timeouts).to.equal(0);
      clock.tick(1);
      expect(timeouts).to.equal(1);
    });

    it('calls a callback once, and takes it back with 0', () => {
      const { peer, socket } = open();
      let calls = 0;
      const callback = () => (calls += 1);
      socket.setTimeout(1000, callback);
      clock.tick(1000);
      peer.deliver('x');
      clock.tick(1000);
      expect(calls).to.equal(1);
      socket.setTimeout(1000, callback);
      socket.setTimeout(0, callback);
      clock.tick(5000);
      expect(calls).to.equal(1);
      expect(socket.listenerCount('timeout')).to.equal(0);
    });

    it('is over with the stream', async () => {
      const { socket } = open();
      socket.setTimeout(1000, () => expect.fail('the stream is over'));
      socket.destroy();
      socket.setTimeout(1000);
      await turn();
      expect(clock.countTimers()).to.equal(0);
      clock.tick(5000);
    });
  });

  describe('half-close', () => {
    it('sends EOF with end(), and still reads', async () => {
      const { peer, socket } = open();
      const events = observe(socket);
      socket.end('last');
      await once(socket, 'finish');
      expect(peer.sent).to.deep.equal(['last', 'EOF']);
      peer.deliver('answer');
      peer.peerEof();
      expect((await readAll(socket)).toString()).to.equal('answer');
      await turns(2);
      expect(events).to.deep.equal(['finish', 'end', 'close']);
      expect(peer.sent).to.deep.equal(['last', 'EOF', 'CLOSE']);
    });

    it('ends our side when the endpoint has ended its own, unless told otherwise', async () => {
      const { peer, socket } = open();
      const events = observe(socket);
      peer.peerEof();
      socket.resume();
      await closed(socket);
      expect(events).to.deep.equal(['end', 'finish', 'close']);
      expect(peer.sent).to.deep.equal(['EOF', 'CLOSE']);
    });

    it('leaves our side open with allowHalfOpen', async () => {
      const { peer, socket } = open({ allowHalfOpen: true });
      peer.peerEof();
      await readAll(socket);
      await turns(2);
      expect(socket.writable).to.equal(true);
      socket.end('after the end');
      await closed(socket);
      expect(peer.sent).to.deep.equal(['after the end', 'EOF', 'CLOSE']);
    });

    it('flushes before it ends', async () => {
      const { peer, socket } = open();
      peer.canWrite = false;
      socket.write('a');
      socket.end('b');
      await turn();
      expect(peer.sent).to.deep.equal([]);
      peer.canWrite = true;
      peer.gate.open();
      await once(socket, 'finish');
      expect(peer.sent.join('')).to.equal('abEOF');
    });

    it('destroySoon flushes, ends and closes', async () => {
      const { peer, socket } = open();
      const events = observe(socket);
      peer.canWrite = false;
      socket.write('a');
      socket.destroySoon();
      await turn();
      expect(socket.destroyed).to.equal(false);
      peer.canWrite = true;
      peer.gate.open();
      await closed(socket);
      expect(peer.sent).to.deep.equal(['a', 'EOF', 'CLOSE']);
      expect(events).to.deep.equal(['finish', 'close']);
      const ended = open();
      ended.socket.end();
      await once(ended.socket, 'finish');
      ended.socket.destroySoon();
      expect(ended.socket.destroyed).to.equal(true);
    });
  });

  describe('back-pressure', () => {
    it('stops the peer when nobody reads, and lets it go on when somebody does', async () => {
      const { peer, socket } = open();
      for (let bytes = 0; bytes < WINDOW_BYTES; bytes += 32 * 1024) peer.deliver(Buffer.alloc(32 * 1024));
      expect(peer.roomBytes).to.equal(0);
      await read(socket, WINDOW_BYTES);
      await turn();
      expect(peer.roomBytes).to.equal(WINDOW_BYTES);
    });

    it('asks writers to wait above 64 KiB, and emits drain', async () => {
      const { peer, socket } = open();
      peer.hold();
      expect(socket.write(Buffer.alloc(64 * 1024 - 1))).to.equal(true);
      expect(socket.write(Buffer.alloc(1))).to.equal(false);
      const drained = once(socket, 'drain');
      peer.release();
      await turn();
      peer.release();
      await drained;
      expect(socket.writableLength).to.equal(0);
    });

    it('sends small writes that came together as one packet, and keeps the order of large ones', async () => {
      const { peer, socket } = open();
      peer.hold();
      socket.write('1');
      for (let number = 2; number < 10; number += 1) socket.write(String(number));
      peer.release();
      await turn();
      expect(peer.sent).to.deep.equal(['1', '23456789']);
      socket.write('a'.repeat(20_000));
      socket.write('b'.repeat(20_000));
      peer.release();
      for (let left = 3; left > 0; left -= 1) {
        await turn();
        peer.release();
      }
      expect(peer.sent.slice(2).map((sent) => `${sent[0] ?? ''}${sent.length}`)).to.deep.equal([
        'a20000',
        'b20000',
      ]);
    });

    it('keeps no packet buffer alive for a small chunk of it', () => {
      const { peer, socket } = open();
      const packet = Buffer.alloc(64 * 1024, 'x');
      peer.deliver(packet.subarray(0, 64));
      const kept = socket.read() as Buffer;
      expect(kept.toString()).to.equal('x'.repeat(64));
      expect(kept.buffer).to.not.equal(packet.buffer);
      expect(kept.buffer.byteLength).to.be.below(packet.length);
    });

    describe('holds small chunks that come while the reader is behind', () => {
      /** Small chunks as they come from ssh2, each a view on a large buffer; and all of their bytes. */
      function deliver(peer: FakePeer, count: number): string {
        let all = '';
        for (let number = 0; number < count; number += 1) {
          const text = `chunk ${number};`;
          const packet = Buffer.alloc(4096);
          packet.write(text);
          peer.deliver(packet.subarray(0, text.length));
          all += text;
        }
        return all;
      }

      it('in few buffers, and gives them in order', async () => {
        const { peer, socket } = open();
        const sent = deliver(peer, 1000);
        peer.peerEof();
        let pieces = 0;
        socket.on('data', () => (pieces += 1));
        expect((await readAll(socket)).toString()).to.equal(sent);
        expect(pieces).to.be.at.most(4);
      });

      it('until the turn is over, and then gives them though nothing more comes', async () => {
        const { peer, socket } = open();
        const sent = deliver(peer, 10);
        await turns(2);
        expect((socket.read() as Buffer).toString()).to.equal(sent);
      });

      it('until it reads again, when it was so far behind that the peer was stopped', async () => {
        const { peer, socket } = open();
        const large = 'x'.repeat(64 * 1024);
        peer.deliver(large);
        const sent = deliver(peer, 10);
        await turns(2);
        expect((await read(socket, large.length + sent.length)).toString()).to.equal(large + sent);
      });

      it('before a large one that follows', async () => {
        const { peer, socket } = open();
        const sent = deliver(peer, 10);
        const large = 'x'.repeat(32 * 1024);
        peer.deliver(large);
        expect((await read(socket, large.length + sent.length)).toString()).to.equal(sent + large);
      });

      it('and leaves nothing of them when it is destroyed', async () => {
        const { peer, socket } = open();
        socket.on('data', () => expect.fail('it was destroyed')).pause();
        deliver(peer, 10);
        socket.destroy();
        await turns(3);
        expect(socket.readableLength).to.be.below(20);
      });
    });

    it('does not copy a chunk that fills its buffer', () => {
      const { peer, socket } = open();
      const packet = Buffer.alloc(64 * 1024);
      peer.deliver(packet.subarray(0, 32 * 1024));
      expect((socket.read() as Buffer).buffer).to.equal(packet.buffer);
    });
  });

  describe('never lies', () => {
    it('errors when its connection is lost', async () => {
      const { peer, socket, lose } = open();
      const events = observe(socket);
      peer.deliver('some');
      lose();
      await closed(socket);
      expect(events).to.deep.equal(['ECONNRESET', 'close']);
      expect(socket.errored).to.equal(lostError);
    });

    it('errors when the channel is closed without EOF', async () => {
      const { peer, socket } = open();
      peer.peerClose();
      const [error] = (await once(socket, 'error')) as [EndpointError];
      expect(error).to.be.an.instanceOf(EndpointError);
      expect(error).to.include({ code: 'ECONNRESET', node: 'node-1', host: '10.0.0.1', port: 10250 });
    });

    it('rejects the pipeline of a cut download', async () => {
      const { peer, socket, lose } = open();
      const sink = new Writable({ write: (_chunk, _encoding, callback) => callback() });
      const piped = rejection(pipeline(socket, sink));
      peer.deliver('half of it');
      await turn();
      lose();
      expect(await piped).to.equal(lostError);
    });

    it('rejects the pipeline of a cut upload', async () => {
      const { peer, socket, lose } = open();
      peer.canWrite = false;
      const piped = rejection(pipeline(Readable.from([Buffer.alloc(1024), Buffer.alloc(1024)]), socket));
      await turn();
      lose();
      expect(await piped).to.equal(lostError);
    });

    it('still ends cleanly, with all data, when EOF had arrived before the loss', async () => {
      const { peer, socket, lose } = open();
      const events = observe(socket);
      peer.deliver('all of it');
      peer.peerEof();
      lose();
      expect((await readAll(socket)).toString()).to.equal('all of it');
      await turns(2);
      expect(events).to.deep.equal(['end', 'finish', 'close']);
    });

    it('errors in spite of EOF when something written is lost', async () => {
      const { peer, socket, lose } = open();
      peer.canWrite = false;
      const { outcomes, write } = writes(socket);
      write('a');
      peer.peerEof();
      lose();
      await once(socket, 'error');
      await turn();
      expect(outcomes).to.deep.equal(['a ECONNRESET']);
    });

    it('errors in spite of EOF when the caller might still write', async () => {
      const { peer, socket, lose } = open({ allowHalfOpen: true });
      peer.peerEof();
      lose();
      expect(((await once(socket, 'error')) as [unknown])[0]).to.equal(lostError);
    });

    it('ends cleanly after EOF when the caller had ended, too', async () => {
      const { peer, socket, lose } = open({ allowHalfOpen: true });
      const events = observe(socket);
      socket.end();
      peer.peerEof();
      lose();
      socket.resume();
      await closed(socket);
      expect(events).to.have.members(['finish', 'end', 'close']);
    });

    it('errors when the caller has ended but the answer has not', async () => {
      const { socket, lose } = open();
      const events = observe(socket);
      socket.end();
      await once(socket, 'finish');
      lose();
      await closed(socket);
      expect(events).to.deep.equal(['finish', 'ECONNRESET', 'close']);
    });

    it('fails every write that had not left, parked or in flight, and calls each callback once', async () => {
      const { peer, socket, lose } = open();
      observe(socket);
      const { outcomes, write } = writes(socket);
      write('sent');
      await turn();
      peer.canWrite = false;
      for (const text of ['a', 'b', 'c']) write(text);
      socket.cork();
      write('corked');
      lose();
      peer.canWrite = true;
      peer.gate.open();
      await turns(3);
      const failed = ['a', 'b', 'c', 'corked'].map((text) => `${text} ECONNRESET`);
      expect(outcomes).to.deep.equal(['sent done', ...failed]);
    });

    it("fails a write that waits for the peer's window, and does not call back again when that opens", async () => {
      const { peer, socket, lose } = open();
      observe(socket);
      const { outcomes, write } = writes(socket);
      peer.hold();
      write('a');
      lose();
      peer.release();
      await turns(2);
      expect(outcomes).to.deep.equal(['a ECONNRESET']);
    });

    it('sends nothing more of a write of several packets when it is destroyed between two of them', async () => {
      const { peer, socket } = open();
      observe(socket);
      peer.hold();
      socket.write('a');
      for (const letter of ['b', 'c']) socket.write(letter.repeat(30_000));
      peer.release();
      await turn();
      socket.destroy();
      peer.release();
      await turns(2);
      expect(peer.sent.map((sent) => sent.slice(0, 5))).to.deep.equal(['a', 'bbbbb', 'CLOSE']);
    });

    it('fails what is written after the loss', async () => {
      const { socket, lose } = open();
      observe(socket);
      lose();
      const [error] = await new Promise<[Error | null | undefined]>((resolve) => {
        socket.write('late', (failure) => resolve([failure]));
      });
      expect(error).to.be.an.instanceOf(Error);
    });

    it('fails what is written after the peer has closed both ways', async () => {
      const { peer, socket } = open({ allowHalfOpen: true });
      const events = observe(socket);
      peer.peerEof();
      await readAll(socket);
      peer.peerClose();
      await turn();
      expect(events).to.deep.equal(['end']);
      const { outcomes, write } = writes(socket);
      write('late');
      await turns(2);
      expect(outcomes).to.deep.equal(['late ECONNRESET']);
      expect(events).to.deep.equal(['end', 'ECONNRESET', 'close']);
    });

    it('fails an upload that the peer closes in the midst', async () => {
      const { peer, socket } = open();
      const events = observe(socket);
      const { outcomes, write } = writes(socket);
      peer.hold();
      write('a');
      write('b');
      peer.peerEof();
      peer.peerClose();
      await turns(3);
      expect(outcomes).to.deep.equal(['a ECONNRESET', 'b ECONNRESET']);
      expect(events).to.deep.equal(['ECONNRESET', 'close']);
    });

    it('says that a write failed when the caller destroys, with no error of its own', async () => {
      const { peer, socket } = open();
      const events = observe(socket);
      peer.canWrite = false;
      const { outcomes, write } = writes(socket);
      write('a');
      write('b');
      socket.destroy();
      await turns(2);
      expect(outcomes.map((outcome) => outcome.endsWith('done'))).to.deep.equal([false, false]);
      expect(events).to.deep.equal(['close']);
    });

    it("destroys with the caller's error, which its writes get, too", async () => {
      const { peer, socket } = open();
      peer.canWrite = false;
      const mine = new Error('mine');
      const told = new Promise((resolve) => socket.write('a', resolve));
      socket.destroy(mine);
      expect(((await once(socket, 'error')) as [unknown])[0]).to.equal(mine);
      expect(await told).to.equal(mine);
    });

    it('ends without an error when it was idle and the connection was closed on purpose', async () => {
      const { socket, lose } = open();
      const events = observe(socket);
      socket.unref();
      lose(new ClosedError('closed'));
      await closed(socket);
      expect(events).to.deep.equal(['close']);
    });

    it('errors though it was idle when the connection was lost', async () => {
      const { socket, lose } = open();
      const events = observe(socket);
      socket.unref();
      lose();
      await closed(socket);
      expect(events).to.deep.equal(['ECONNRESET', 'close']);
    });
  });

  describe("exceptions in the user's code", () => {
    const boom = new Error('boom');
    const boomOnce = (): void => {
      throw boom;
    };

    it("in 'data' reach the process, and not ssh2", async () => {
      const { peer, socket } = open();
      const seen: string[] = [];
      socket.once('data', boomOnce);
      socket.on('data', (chunk: Buffer) => void seen.push(chunk.toString()));
      await turn();
      const uncaught = await uncaughtDuring(async () => {
        expect(() => peer.deliver('a')).to.not.throw();
        await turn();
        peer.deliver('b');
      });
      expect(uncaught).to.deep.equal([boom]);
      expect(seen).to.include('b');
      expect(socket.destroyed).to.equal(false);
    });

    it("in 'readable' and 'end' reach the process, and not ssh2", async () => {
      const { peer, socket } = open();
      socket.once('end', boomOnce);
      socket.on('readable', () => {
        if (socket.read() !== null) throw boom;
      });
      const uncaught = await uncaughtDuring(async () => {
        expect(() => peer.deliver('a')).to.not.throw();
        await turn();
        expect(() => peer.peerEof()).to.not.throw();
        await turn();
      });
      expect(uncaught).to.deep.equal([boom, boom]);
    });

    it("in 'readable' at the end reach the process, and not ssh2", async () => {
      const { peer, socket } = open();
      socket.on('readable', boomOnce);
      await turn();
      const uncaught = await uncaughtDuring(async () => {
        expect(() => peer.peerEof()).to.not.throw();
        await turn();
      });
      expect(uncaught).to.deep.equal([boom]);
    });

    it("in a write's callback and in 'drain' reach the process, and not ssh2", async () => {
      const { peer, socket } = open();
      peer.hold();
      socket.once('drain', boomOnce);
      socket.write(Buffer.alloc(64 * 1024), boomOnce);
      await turn();
      const uncaught = await uncaughtDuring(async () => {
        expect(() => peer.release()).to.not.throw();
        await turns(2);
      });
      expect(uncaught).to.include(boom);
      const { outcomes, write } = writes(socket);
      write('a');
      peer.release();
      await turn();
      expect(outcomes).to.deep.equal(['a done']);
    });

    it("in 'error' reach the process, and not ssh2", async () => {
      const { socket, lose } = open();
      socket.once('error', boomOnce);
      const uncaught = await uncaughtDuring(async () => {
        expect(() => lose()).to.not.throw();
        await turns(2);
      });
      expect(uncaught).to.deep.equal([boom]);
    });
  });

  it("can be destroyed in its own 'data'", async () => {
    const { peer, socket } = open();
    const seen: string[] = [];
    socket.on('data', (chunk: Buffer) => {
      seen.push(chunk.toString());
      socket.destroy();
    });
    await turn();
    peer.deliver('a');
    peer.deliver('b');
    peer.peerEof();
    peer.peerClose();
    await turns(2);
    expect(seen).to.deep.equal(['a']);
    expect(peer.sent).to.deep.equal(['CLOSE']);
  });
});
