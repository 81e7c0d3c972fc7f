import { expect } from 'chai';
import { PassThrough } from 'node:stream';
import { ByteReader, EndedEarlyError } from '../../lib/listen/byte-reader.js';
import { rejection, turns } from '../support/dialer.js';

describe('a reader of bytes', () => {
  let stream: PassThrough;
  let reader: ByteReader;
  beforeEach(() => {
    stream = new PassThrough();
    reader = new ByteReader(stream);
  });
  afterEach(() => {
    for (const event of ['readable', 'end', 'close'])
      expect(stream.listenerCount(event), event).to.equal(idle(event));
  });

  const idle = (event: string): number => new PassThrough().listenerCount(event);

  it('takes pieces as they were asked for, however they come, and leaves the rest', async () => {
    const taken = reader.take(4);
    for (const text of ['a', 'b', 'cdef']) {
      stream.write(text);
      await turns(2);
    }
    expect((await taken).toString()).to.equal('abcd');
    expect(await reader.takeByte()).to.equal('e'.charCodeAt(0));
    expect((await reader.take(0)).length).to.equal(0);
    expect(String(stream.read())).to.equal('f');
  });

  it('does not wait for what cannot come any more', async () => {
    const ended = rejection(reader.take(4));
    stream.end('abc');
    expect(await ended).to.be.instanceOf(EndedEarlyError);
    expect(await rejection(reader.take(1))).to.be.instanceOf(EndedEarlyError);
  });

  it('does not wait for a stream that is destroyed', async () => {
    const taking = rejection(reader.take(4));
    stream.write('abc');
    await turns(2);
    stream.destroy();
    expect(await taking).to.be.instanceOf(EndedEarlyError);
  });
});
