import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { KeptChunks } from '../../lib/ssh/kept-chunks.js';

describe('KeptChunks', () => {
  it('gives back what it was given, in order, whatever the sizes', () => {
    for (const sizes of [
      [1],
      [0],
      [16384],
      [16383, 1],
      [16385],
      [1, 16384, 1],
      [5, 0, 7],
      [40_000, 3, 20_000],
    ]) {
      const kept = new KeptChunks();
      const chunks = sizes.map((size) => randomBytes(size));
      for (const chunk of chunks) kept.keep(chunk);
      expect(Buffer.concat(kept.take()).equals(Buffer.concat(chunks)), sizes.join()).to.equal(true);
    }
  });

  it('gives nothing twice', () => {
    const kept = new KeptChunks();
    expect(kept.take()).to.deep.equal([]);
    kept.keep(Buffer.from('a'));
    expect(Buffer.concat(kept.take()).toString()).to.equal('a');
    expect(kept.take()).to.deep.equal([]);
    kept.keep(Buffer.from('b'));
    expect(Buffer.concat(kept.take()).toString()).to.equal('b');
  });

  it('copies, so that the packet a chunk came in can go', () => {
    const packet = Buffer.alloc(65_536, 'x');
    const kept = new KeptChunks();
    kept.keep(packet.subarray(0, 10));
    packet.fill('y');
    const [taken] = kept.take();
    expect(taken?.toString()).to.equal('x'.repeat(10));
    expect(taken?.buffer.byteLength).to.equal(10);
  });

  it('packs many small chunks into few buffers', () => {
    const kept = new KeptChunks();
    for (let count = 0; count < 10_000; count += 1) kept.keep(Buffer.from('12345678'));
    const taken = kept.take();
    expect(taken.reduce((bytes, { length }) => bytes + length, 0)).to.equal(80_000);
    expect(taken.length).to.be.at.most(5);
  });

  it('gives buffers that later chunks do not change', () => {
    const kept = new KeptChunks();
    kept.keep(Buffer.from('first'));
    const [first] = kept.take();
    kept.keep(Buffer.from('again'));
    expect(first?.toString()).to.equal('first');
  });
});
