import { once } from 'node:events';
import { constants, createDeflate, createInflate } from 'node:zlib';
import { expect } from 'chai';
import { HEADER_DICTIONARY, HEADER_DICTIONARY_ID } from '../../lib/spdy/dictionary.js';
import { HeaderReader, HeaderWriter } from '../../lib/spdy/header-block.js';

/** A block of headers that is not compressed. */
const plain = (...headers: readonly (readonly [string, string])[]): Buffer => {
  const text = (value: string): Buffer => {
    const bytes = Buffer.alloc(4 + value.length, value);
    bytes.writeUInt32BE(value.length);
    bytes.write(value, 4);
    return bytes;
  };
  const count = Buffer.alloc(4);
  count.writeUInt32BE(headers.length);
  return Buffer.concat([count, ...headers.flatMap((header) => header.map(text))]);
};

/** Deflates blocks as others do: one zlib stream, flushed after each. */
async function deflated(blocks: readonly Buffer[], dictionary?: Buffer): Promise<Buffer[]> {
  const deflate = createDeflate({ level: 9, ...(dictionary && { dictionary }) });
  const done: Buffer[] = [];
  for (const block of blocks) {
    deflate.write(block);
    await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, resolve));
    done.push(deflate.read() as Buffer);
  }
  deflate.destroy();
  return done;
}

describe('spdy: headers', () => {
  it('use the dictionary of SPDY/3', () => {
    let [low, high] = [1, 0];
    for (const byte of HEADER_DICTIONARY) {
      low = (low + byte) % 65521;
      high = (high + low) % 65521;
    }
    expect(HEADER_DICTIONARY.length).to.equal(1423);
    expect(((high << 16) | low) >>> 0).to.equal(HEADER_DICTIONARY_ID);
  });

  for (const [how, dictionary] of [
    ['with the dictionary', HEADER_DICTIONARY],
    ['without one', undefined],
  ] as const) {
    it(`are read as others compress them ${how}, each with what came before`, async () => {
      const blocks = Array.from({ length: 1000 }, (_, id) =>
        plain(['streamtype', id % 2 === 0 ? 'data' : 'error'], ['port', '8080'], ['requestid', `${id >> 1}`]),
      );
      const reader = new HeaderReader();
      const read = (await deflated(blocks, dictionary)).map((block) =>
        Object.fromEntries(reader.read(block)),
      );
      expect(read.at(-1)).to.deep.equal({ streamtype: 'error', port: '8080', requestid: '499' });
      expect(new Set(read.map(({ requestid }) => requestid)).size).to.equal(500);
    });
  }

  it('are written so that others can read them', async () => {
    const writer = new HeaderWriter();
    const inflate = createInflate({ dictionary: HEADER_DICTIONARY });
    const long = 'x'.repeat(200_000);
    for (const value of ['stdin', 'stdout', long]) {
      const expected = plain(['streamtype', value]);
      const block = writer.write(new Map([['streamtype', value]]));
      expect(block.subarray(-5), 'a flush, as Go needs it').to.deep.equal(Buffer.of(0, 0, 0, 0xff, 0xff));
      inflate.write(block);
      const read: Buffer[] = [];
      for (let length = 0; length < expected.length; length = Buffer.concat(read).length)
        read.push(...((await once(inflate, 'data')) as [Buffer]));
      expect(Buffer.concat(read).equals(expected)).to.equal(true);
    }
    inflate.destroy();
  });

  it('give the first of several values', async () => {
    const [block = Buffer.alloc(0)] = await deflated(
      [plain(['a', 'one\0two'], ['b', ''])],
      HEADER_DICTIONARY,
    );
    expect(Object.fromEntries(new HeaderReader().read(block))).to.deep.equal({ a: 'one', b: '' });
  });

  const wrong: Readonly<Record<string, Buffer>> = {
    'a name with capitals': plain(['Port', '80']),
    'no name': plain(['', '80']),
    'the same name twice': plain(['port', '80'], ['port', '81']),
    'an end that is too early': plain(['port', '80']).subarray(0, -1),
    'something behind them': Buffer.concat([plain(['port', '80']), Buffer.of(0)]),
    'a count that nothing follows': Buffer.of(255, 255, 255, 255),
    'nothing at all': Buffer.alloc(0),
  };
  for (const [what, block] of Object.entries(wrong)) {
    it(`are refused with ${what}`, async () => {
      const [compressed = Buffer.alloc(0)] = await deflated([block], HEADER_DICTIONARY);
      expect(() => new HeaderReader().read(compressed))
        .to.throw()
        .with.property('code', 'ERR_SPDY_PROTOCOL');
    });
  }

  it('are refused with another dictionary', async () => {
    const [block = Buffer.alloc(0)] = await deflated([plain(['port', '80'])], Buffer.from('port'));
    expect(() => new HeaderReader().read(block))
      .to.throw()
      .with.property('code', 'ERR_SPDY_PROTOCOL');
  });
});
