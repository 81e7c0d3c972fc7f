import { expect } from 'chai';
import { PassThrough } from 'node:stream';
import sinon, { type SinonFakeTimers } from 'sinon';
import { linesOf } from '../../lib/kubernetes/lines.js';
import { TimeLimit } from '../../lib/kubernetes/time-limit.js';

describe('linesOf', () => {
  let clock: SinonFakeTimers;
  let stream: PassThrough;
  let limit: TimeLimit;
  let lines: AsyncGenerator<readonly string[]>;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    stream = new PassThrough();
    stream.setEncoding('utf8');
    limit = new TimeLimit(new AbortController().signal);
    lines = linesOf(stream, limit, 10_000);
    // Stands in for the request, which the signal destroys.
    limit.signal.addEventListener('abort', () => stream.destroy(new Error('aborted')));
  });

  afterEach(() => {
    limit.end();
    clock.restore();
    stream.on('error', () => undefined).destroy();
  });

  const next = async (): Promise<readonly string[]> => (await lines.next()).value as readonly string[];
  const failure = (): Promise<unknown> => lines.next().then(String, (error: unknown) => error);

  it('puts together what has arrived in parts, also in the middle of a character', async () => {
    const bytes = Buffer.from('one\ntwö\n');
    for (const byte of bytes.subarray(0, 7)) stream.write(Buffer.from([byte]));
    expect(await next()).to.deep.equal(['one']);
    stream.write(bytes.subarray(7));
    expect(await next()).to.deep.equal(['twö']);
    stream.end();
    expect(await lines.next()).to.include({ done: true });
  });

  it('tells what arrives in one turn at once', async () => {
    const first = next();
    // All in one turn; what waits for the stream runs between two of them.
    for (const text of ['a\n', 'b\nc', '\n', 'd\n']) setImmediate(() => stream.write(text));
    expect(await first).to.deep.equal(['a', 'b', 'c', 'd']);
  });

  it('fails when nothing arrives for too long, however long it has been going on', async () => {
    for (const text of ['a', 'b', 'c']) {
      const line = next();
      await clock.tickAsync(9_999);
      stream.write(`${text}\n`);
      expect(await line).to.deep.equal([text]);
    }
    const failed = failure();
    await clock.tickAsync(10_000);
    expect(await failed).to.have.property('message', 'the watch of the nodes said nothing within 10000 ms');
  });

  it('takes it for no silence when nobody asks for the next lines', async () => {
    stream.write('a\n');
    await next();
    await clock.tickAsync(100_000);
    expect(limit.signal.aborted).to.equal(false);
    stream.write('b\n');
    expect(await next()).to.deep.equal(['b']);
  });

  it('fails at a line that does not end', async () => {
    const failed = failure();
    const part = Buffer.alloc(2 ** 20, 'x');
    for (let count = 0; count < 17; count += 1) stream.write(part);
    expect(await failed)
      .to.have.property('message')
      .that.includes('a line has no end');
  });
});
