import type { Readable } from 'node:stream';

/** The stream has ended before it had sent what was asked for. */
export class EndedEarlyError extends Error {
  constructor() {
    super('the client has ended its side, or gone, in the middle of a message');
    this.name = 'EndedEarlyError';
  }
}

/** Takes a stream's bytes in pieces of a given length, and leaves what follows in the stream. */
export class ByteReader {
  readonly #stream: Readable;

  constructor(stream: Readable) {
    this.#stream = stream;
  }

  /** @throws {@link EndedEarlyError} */
  async take(count: number): Promise<Buffer> {
    if (count === 0) return Buffer.alloc(0);
    const stream = this.#stream;
    return new Promise((resolve, reject) => {
      const attempt = (): void => {
        const bytes = stream.read(count) as Buffer | null;
        if (bytes?.length === count) {
          stop();
          resolve(bytes);
        } else if (bytes !== null || stream.readableEnded || stream.destroyed) {
          stop();
          reject(new EndedEarlyError()); // after the end, read() gives what there is
        }
      };
      const stop = (): void => void stream.off('readable', attempt).off('end', attempt).off('close', attempt);
      stream.on('readable', attempt).on('end', attempt).on('close', attempt);
      attempt();
    });
  }

  async takeByte(): Promise<number> {
    return (await this.take(1)).readUInt8();
  }
}
