const SLAB_BYTES = 16 * 1024;

/** Small chunks that a reader has not got round to, packed together: each as a `Buffer` of its own would cost hundreds of bytes more. */
export class KeptChunks {
  #slabs: Buffer[] = [];
  /** Bytes used of the last slab. */
  #used = SLAB_BYTES;

  /** Copies a chunk. */
  keep(chunk: Buffer): void {
    for (let offset = 0; offset < chunk.length;) {
      if (this.#used === SLAB_BYTES) {
        // Not from Node's own pool, which a single byte would keep in memory.
        this.#slabs.push(Buffer.allocUnsafeSlow(SLAB_BYTES));
        this.#used = 0;
      }
      const copied = chunk.copy(this.#slabs.at(-1) ?? chunk, this.#used, offset);
      this.#used += copied;
      offset += copied;
    }
  }

  /** Hands over what was kept, in order, and forgets it. */
  take(): Buffer[] {
    const slabs = this.#slabs;
    const last = slabs.pop();
    if (last === undefined) return [];
    const rest = Buffer.allocUnsafeSlow(this.#used);
    last.copy(rest);
    this.#slabs = [];
    this.#used = SLAB_BYTES;
    return [...slabs, rest];
  }
}
