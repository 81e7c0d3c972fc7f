import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';

const BLOCK_BYTES = 64 * 1024;

/** One block of pseudo-random bytes (xorshift32), the same for the same seed. */
function makeBlock(seed: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x2545f491) | 1;
  for (let offset = 0; offset < BLOCK_BYTES; offset += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    block.writeInt32LE(state, offset);
  }
  return block;
}

/**
 * A given number of bytes, determined by the seed. Every block bears its number, so that blocks that were
 * lost, doubled or swapped change the hash.
 */
export function* patternBlocks(bytes: number, seed = 1): Generator<Buffer> {
  const block = makeBlock(seed);
  for (let done = 0, index = 0; done < bytes; done += BLOCK_BYTES, index++) {
    const numbered = Buffer.from(block);
    numbered.writeUInt32LE(index, 0);
    yield numbered.subarray(0, Math.min(BLOCK_BYTES, bytes - done));
  }
}

/** The same as a stream. */
export function patternStream(bytes: number, seed = 1): Readable {
  return Readable.from(patternBlocks(bytes, seed), { objectMode: false });
}

/** SHA-256 of the same, in hex. */
export function patternSha256(bytes: number, seed = 1): string {
  const hash = createHash('sha256');
  for (const block of patternBlocks(bytes, seed)) hash.update(block);
  return hash.digest('hex');
}
