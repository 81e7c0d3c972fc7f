/**
 * Reads the data types of RFC 4251 §5 from a buffer, front to back. Each read is `undefined` when too few
 * bytes are left.
 */
export class WireReader {
  readonly #data: Buffer;
  #position = 0;

  constructor(data: Buffer) {
    this.#data = data;
  }

  /** Whether every byte was read. */
  get atEnd(): boolean {
    return this.#position === this.#data.length;
  }

  uint32(): number | undefined {
    if (this.#data.length - this.#position < 4) return undefined;
    const value = this.#data.readUInt32BE(this.#position);
    this.#position += 4;
    return value;
  }

  /** A `string` or `mpint`: a length and that many bytes. The result is a view on the buffer. */
  string(): Buffer | undefined {
    const length = this.uint32();
    if (length === undefined || length > this.#data.length - this.#position) return undefined;
    const value = this.#data.subarray(this.#position, this.#position + length);
    this.#position += length;
    return value;
  }
}

/** Encodes a `uint32` of RFC 4251 §5. */
export function wireUint32(value: number): Buffer {
  const data = Buffer.alloc(4);
  data.writeUInt32BE(value);
  return data;
}

/** Encodes a `string` of RFC 4251 §5. */
export function wireString(value: string | Buffer): Buffer {
  const data = Buffer.from(value);
  return Buffer.concat([wireUint32(data.length), data]);
}
