import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { deflateSync } from 'node:zlib';
import { expect } from 'chai';
import { HEADER_DICTIONARY } from '../../lib/spdy/dictionary.js';
import { FrameReader, type Frame } from '../../lib/spdy/frame-reader.js';
import { dataHead, goAway, ping, rstStream, synReply, synStream } from '../../lib/spdy/frames.js';
import { HeaderWriter } from '../../lib/spdy/header-block.js';
import { SpdySession, type SpdySessionOptions } from '../../lib/spdy/session.js';
import type { SpdyStream } from '../../lib/spdy/stream.js';
import { turn, until } from '../support/dialer.js';
import { below, seededRandom } from '../support/seeded-random.js';
import { connectedSockets, said } from './pair.js';

/** A peer that says whatever a test wants, to a session that takes every stream. */
class Peer implements AsyncDisposable {
  readonly socket: Socket;
  readonly session: SpdySession;
  readonly taken: SpdyStream[] = [];
  readonly heard: Frame[] = [];
  readonly headers = new HeaderWriter();

  private constructor(socket: Socket, other: Socket, options: Partial<SpdySessionOptions>) {
    this.socket = socket;
    const reader = new FrameReader((frame) => this.heard.push(frame));
    socket.on('data', (bytes: Buffer) => reader.read(bytes));
    socket.on('error', () => undefined);
    const accept = () => (stream: SpdyStream) => void this.taken.push(stream);
    this.session = new SpdySession(other, { side: 'server', accept, ...options });
  }

  static async connect(options: Partial<SpdySessionOptions> = {}): Promise<Peer> {
    const [near, far] = await connectedSockets();
    return new Peer(near, far, options);
  }

  say(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  open(id: number): Buffer {
    return synStream(id, this.headers.write(new Map()));
  }

  /** Resolves when the session has said goodbye for a breach of the protocol. */
  async rejected(): Promise<void> {
    if (!this.socket.readableEnded) await once(this.socket, 'end');
    this.socket.end();
    await this.session.closed;
    expect(this.heard.at(-1)?.type).to.equal('go-away');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.session.destroy();
    this.socket.destroy();
    await this.session.closed;
  }
}

const frame = (type: number, payload: Buffer, { version = 3, flags = 0 } = {}): Buffer => {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(0x8000 | version);
  head.writeUInt16BE(type, 2);
  head.writeUInt32BE(payload.length, 4);
  head.writeUInt8(flags, 4);
  return Buffer.concat([head, payload]);
};

describe('spdy: a hostile peer', () => {
  const bomb = deflateSync(Buffer.alloc(16 * 1024 * 1024), { dictionary: HEADER_DICTIONARY });
  const breaches: Readonly<Record<string, (peer: Peer) => readonly Buffer[]>> = {
    'is of another version': () => [frame(6, Buffer.of(0, 0, 0, 1), { version: 2 })],
    'is longer than any of its kind': () => [frame(1, Buffer.alloc(70_000))],
    'is shorter than any of its kind': () => [frame(6, Buffer.of(1))],
    'has headers that are not compressed': (peer) => [synStream(1, Buffer.alloc(20)), peer.open(3)],
    'has headers that inflate to megabytes': () => [synStream(1, bomb)],
    'opens a stream that has the number of another': (peer) => [peer.open(3), peer.open(3)],
    'opens a stream with a number of ours': (peer) => [peer.open(2)],
    'opens a stream with a number that is past': (peer) => [peer.open(5), peer.open(1)],
    'has data after the end of its stream': (peer) => [
      peer.open(1),
      dataHead(1, 0, true),
      dataHead(1, 1, false),
      Buffer.of(1),
    ],
  };
  for (const [what, frames] of Object.entries(breaches)) {
    it(`is told goodbye when a frame ${what}`, async () => {
      await using peer = await Peer.connect();
      peer.say(...frames(peer));
      await peer.rejected();
      for (const { errored, isGivenUp } of peer.taken) {
        if (!isGivenUp) expect(errored).to.include({ code: 'ERR_SPDY_PROTOCOL' });
      }
    });
  }

  it('may say what is of no use here', async () => {
    await using peer = await Peer.connect();
    peer.say(frame(4, Buffer.alloc(12)), frame(9, Buffer.alloc(8)), frame(77, Buffer.alloc(0)));
    peer.say(frame(99, Buffer.alloc(300_000)), dataHead(55, 3, false), Buffer.from('abc'));
    peer.say(rstStream(55, 5), synReply(56, peer.headers.write(new Map())), dataHead(0, 0, true));
    peer.say(frame(8, Buffer.concat([Buffer.of(0, 0, 0, 1), peer.headers.write(new Map([['a', 'b']]))])));
    peer.say(peer.open(1), dataHead(1, 2, true), Buffer.from('ok'));
    await until('the stream', () => peer.taken.length === 1);
    expect(await said(peer.taken[0]!)).to.equal('ok');
  });

  it('gets an answer to its pings, and none to ours', async () => {
    await using peer = await Peer.connect();
    peer.say(ping(7), ping(2));
    await until('a ping', () => peer.heard.length === 1);
    peer.session.ping();
    await until('two pings', () => peer.heard.length === 2);
    expect(peer.heard).to.deep.equal([
      { type: 'ping', id: 7 },
      { type: 'ping', id: 2 },
    ]);
  });

  it('is cut off when it asks for answers and reads none', async () => {
    const deaf = new Duplex({ read: () => undefined, write: () => undefined });
    const session = new SpdySession(deaf, { side: 'server' });
    const pings = Buffer.concat(Array.from({ length: 1000 }, () => ping(1)));
    for (let sent = 0; sent < 10 && !deaf.destroyed; sent += 1) {
      deaf.push(pings);
      await turn();
    }
    await session.closed;
    expect(deaf.writableLength).to.be.lessThan(128 * 1024);
  });

  it('cannot make more wait than a stream may, and data of no length does not count', async () => {
    await using peer = await Peer.connect();
    peer.say(peer.open(1));
    await until('the stream', () => peer.taken.length === 1);
    const chunk = Buffer.concat([dataHead(1, 65536, false), Buffer.alloc(65536), dataHead(1, 0, false)]);
    for (let sent = 0; sent < 100; sent += 1) peer.socket.write(chunk);
    await until('it to be held up', () => peer.socket.writableLength > 1024 * 1024);
    expect(peer.taken[0]!.readableLength).to.be.lessThan(256 * 1024);
  });

  it('that resets a stream in the bytes that answer it does not end the process', async () => {
    await using peer = await Peer.connect({ side: 'client' });
    const opening = peer.session.open(new Map());
    await until('the request', () => peer.heard.length === 1);
    peer.say(synReply(1, peer.headers.write(new Map())), rstStream(1, 1));
    const stream = await opening;
    if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
    expect(stream.errored).to.include({ code: 'ECONNRESET' });
  });

  it('that goes away fails what it has not seen, and only that', async () => {
    await using peer = await Peer.connect({ side: 'client' });
    const [seen, unseen] = [
      peer.session.open(new Map()),
      peer.session.open(new Map()).catch((error: unknown) => error),
    ];
    await until('the requests', () => peer.heard.length === 2);
    peer.say(
      goAway(1, 0),
      synReply(1, peer.headers.write(new Map())),
      dataHead(1, 3, true),
      Buffer.from('all'),
    );
    expect(await unseen).to.include({ code: 'ERR_SPDY_CLOSED' });
    expect(await said(await seen)).to.equal('all');
  });

  it('does no harm with rubbish', async () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const random = seededRandom(seed);
      await using peer = await Peer.connect();
      peer.say(peer.open(1));
      for (let round = 0; round < 20; round += 1) {
        const bytes = Buffer.from(Array.from({ length: below(64, random) }, () => below(256, random)));
        // Half of it looks like frames.
        const kind = below(12, random);
        peer.say(random() < 0.5 ? bytes : frame(kind, bytes, { flags: below(4, random) }));
      }
      peer.socket.end();
      await peer.session.closed;
      for (const stream of peer.taken) expect(stream.readable && stream.errored === null).to.equal(false);
    }
  });
});
