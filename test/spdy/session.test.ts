import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import type { SpdyStream } from '../../lib/spdy/stream.js';
import { patternSha256, patternStream } from '../support/pattern.js';
import { until } from '../support/dialer.js';
import { Pair, said } from './pair.js';

const MIB = 1024 * 1024;

const failure = async (stream: SpdyStream): Promise<unknown> => {
  if (!stream.closed) await new Promise((resolve) => stream.once('close', resolve));
  return stream.errored;
};

describe('spdy: a session', () => {
  it('opens streams whose headers the other side sees', async () => {
    await using pair = await Pair.connect();
    const { far } = await pair.open({ streamtype: 'stdin', port: '80' });
    expect(Object.fromEntries(far.headers)).to.deep.equal({ streamtype: 'stdin', port: '80' });
    const second = await pair.open({ streamtype: 'stdout' });
    expect(second.far.headers.get('streamtype')).to.equal('stdout');
    expect([far.id, second.far.id]).to.deep.equal([1, 3]);
  });

  it('carries what was written before the reply of the other side had come', async () => {
    const heard: Promise<string>[] = [];
    await using pair = await Pair.connect({
      accept: () => (stream) => heard.push(said(stream.end('welcome'))),
    });
    const stream = await pair.client.open(new Map());
    stream.end('hello');
    expect(await said(stream)).to.equal('welcome');
    expect(await heard[0]).to.equal('hello');
  });

  it('ends one direction of a stream and not the other', async () => {
    await using pair = await Pair.connect();
    const { near, far } = await pair.open();
    near.end('question');
    expect(await said(far)).to.equal('question');
    far.end('answer');
    expect(await said(near)).to.equal('answer');
    await until('both ends to close', () => near.closed && far.closed);
    expect([near.errored, far.errored]).to.deep.equal([null, null]);
  });

  it('carries 32 MiB both ways on three streams at once, unchanged', async () => {
    await using pair = await Pair.connect({ accept: () => (stream) => void pipeline(stream, stream) });
    const sums = await Promise.all(
      [1, 2, 3].map(async (seed) => {
        const stream = await pair.client.open(new Map());
        const hash = createHash('sha256');
        await Promise.all([pipeline(patternStream(32 * MIB, seed), stream), pipeline(stream, hash)]);
        return hash.digest('hex');
      }),
    );
    expect(sums).to.deep.equal([1, 2, 3].map((seed) => patternSha256(32 * MIB, seed)));
  });

  it('holds up the writer when nobody reads, and goes on when somebody does', async () => {
    await using pair = await Pair.connect();
    const { near, far } = await pair.open();
    const writing = pipeline(patternStream(32 * MIB), near);
    await until('the writer to be held up', () => pair.far.isPaused() && pair.near.writableLength > 0);
    expect(far.readableLength).to.be.lessThan(MIB);
    const hash = createHash('sha256');
    await Promise.all([writing, pipeline(far.end(), hash)]);
    expect(hash.digest('hex')).to.equal(patternSha256(32 * MIB));
  });

  it('lets a stream through between the pieces of a long write of another', async () => {
    await using pair = await Pair.connect();
    const [long, short] = [await pair.open(), await pair.open()];
    long.near.write(Buffer.alloc(16 * MIB));
    short.near.end('quick');
    long.far.resume();
    expect(await said(short.far)).to.equal('quick');
    expect(long.near.writableLength, 'the long write is still under way').to.be.greaterThan(0);
  });

  it('refuses streams that nobody takes, and those above the limit', async () => {
    await using pair = await Pair.connect({
      maxStreams: 1,
      accept: (headers) => (headers.has('no') ? undefined : (stream) => void stream.resume()),
    });
    const refused = { code: 'ERR_SPDY_REFUSED' };
    expect(await pair.client.open(new Map([['no', '']])).catch((error: unknown) => error)).to.include(
      refused,
    );
    const first = await pair.client.open(new Map());
    expect(await pair.client.open(new Map()).catch((error: unknown) => error)).to.include(refused);
    first.destroy();
    await pair.client.open(new Map());
    expect(await pair.server.open(new Map()).catch((error: unknown) => error)).to.include(refused);
  });

  it('reads to its end what had come before the other side gave a stream up', async () => {
    await using pair = await Pair.connect();
    const { near, far } = await pair.open();
    far.write('the last words', () => far.destroy());
    await once(far, 'close');
    await until('the reset', () => near.isGivenUp);
    expect(await said(near)).to.equal('the last words');
    expect(await failure(near)).to.equal(null);
  });

  it('says to who writes that the stream was given up', async () => {
    await using pair = await Pair.connect();
    const { near, far } = await pair.open();
    far.destroy();
    await until('the reset', () => near.isGivenUp);
    const told = new Promise((resolve) => near.write('anybody?', resolve));
    expect(await told).to.include({ code: 'EPIPE' });
  });

  it('errors what was not ended when the connection is lost, and only that', async () => {
    await using pair = await Pair.connect();
    const [cut, ended] = [await pair.open(), await pair.open()];
    cut.far.write('half a');
    ended.far.end('whole');
    await until('all to arrive', () => cut.near.readableLength > 0 && ended.near.readableLength > 0);
    pair.far.destroy();
    expect(await failure(cut.near)).to.include({ code: 'ECONNRESET' });
    expect(await said(ended.near)).to.equal('whole');
    expect(await failure(ended.near)).to.equal(null);
    await pair.client.closed;
  });

  it('takes the end of the connection for a loss while a stream is open', async () => {
    await using pair = await Pair.connect();
    const { near } = await pair.open();
    pair.far.end();
    expect(await failure(near)).to.include({ code: 'ECONNRESET', message: 'the peer ended the connection' });
  });

  it('fails to open a stream when the connection is lost, or is closed', async () => {
    await using pair = await Pair.connect();
    pair.far.pause();
    const opening = pair.client.open(new Map()).catch((error: unknown) => error);
    pair.far.destroy();
    expect(await opening).to.include({ code: 'ECONNRESET' });
    expect(await pair.client.open(new Map()).catch((error: unknown) => error)).to.include({
      code: 'ERR_SPDY_CLOSED',
    });
  });

  it('gives up opening a stream on abort, and tells the other side', async () => {
    await using pair = await Pair.connect();
    const reason = new Error('enough');
    const controller = new AbortController();
    const opening = pair.client
      .open(new Map(), { signal: controller.signal })
      .catch((error: unknown) => error);
    controller.abort(reason);
    expect(await opening).to.equal(reason);
    await until('the reset', () => pair.taken[0]?.isGivenUp === true);
    const late = pair.client.open(new Map(), { signal: controller.signal }).catch((error: unknown) => error);
    expect(await late).to.equal(reason);
  });

  it('closes when the streams that are open are over', async () => {
    await using pair = await Pair.connect();
    const { near, far } = await pair.open();
    const closed = pair.server.close();
    far.end('goodbye');
    expect(await pair.client.open(new Map()).catch((error: unknown) => error))
      .to.have.property('code')
      .that.matches(/^ERR_SPDY/);
    near.end();
    far.resume();
    expect(await said(near)).to.equal('goodbye');
    await Promise.all([closed, pair.client.closed]);
    expect([near.errored, far.errored]).to.deep.equal([null, null]);
    await pair.server.close();
  });

  it('tells who writes that it has not left when the stream is destroyed meanwhile', async () => {
    await using pair = await Pair.connect();
    const { near } = await pair.open();
    pair.far.pause();
    // More than the kernel takes.
    const told = new Promise((resolve) => near.write(Buffer.alloc(16 * MIB), resolve));
    near.destroy();
    expect(await told).to.include({ code: 'ERR_SPDY_CLOSED' });
  });

  it('errors its streams when it is destroyed', async () => {
    await using pair = await Pair.connect();
    const { near, far } = await pair.open();
    pair.client.destroy();
    expect(await failure(near)).to.include({ code: 'ERR_SPDY_CLOSED' });
    expect(await failure(far)).to.include({ code: 'ECONNRESET' });
  });
});
