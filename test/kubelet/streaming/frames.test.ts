import { expect } from 'chai';
import { framesOf, MAX_DATA_BYTES } from '../../../lib/kubelet/streaming/frames.js';

describe('kubelet: messages of a channel', () => {
  const dataOf = (...sizes: readonly number[]): Buffer[] =>
    sizes.map((size, index) => Buffer.alloc(size, index + 1));

  for (const sizes of [
    [1],
    [MAX_DATA_BYTES],
    [MAX_DATA_BYTES + 1],
    [3 * MAX_DATA_BYTES],
    [1, 1, 1],
    [MAX_DATA_BYTES - 1, 2],
    [5, 0, 7],
    [1, 4 * MAX_DATA_BYTES, 1],
  ]) {
    it(`hold ${sizes.join(' + ')} bytes in as few as can be`, () => {
      const chunks = dataOf(...sizes);
      const all = Buffer.concat(chunks);
      const frames = [...framesOf(7, chunks)];
      expect(frames.map(([channel]) => channel)).to.deep.equal(frames.map(() => 7));
      expect(Buffer.concat(frames.map((frame) => frame.subarray(1))).equals(all)).to.equal(true);
      expect(frames).to.have.length(Math.ceil(all.length / MAX_DATA_BYTES));
    });
  }

  it('are none for nothing', () => {
    expect([...framesOf(0, dataOf())]).to.deep.equal([]);
    expect([...framesOf(0, dataOf(0))]).to.deep.equal([]);
  });
});
