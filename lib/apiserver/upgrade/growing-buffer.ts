/** Bytes that arrive in pieces of any size, in memory of our own: it costs no more than twice what they are. */
export class GrowingBuffer {
  #memory = Buffer.allocUnsafe(4096);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What is there. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  push(chunk: Buffer): void {
    const needed = this.#length + chunk.length;
    if (needed > this.#memory.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#memory.length));
      this.bytes.copy(larger);
      this.#memory = larger;
    }
    chunk.copy(this.#memory, this.#length);
    this.#length = needed;
  }
}
