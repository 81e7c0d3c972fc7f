/** A piece that is at least so much of the memory behind it does not waste any worth a copy. */
const MIN_SHARE = 1 / 4;

/**
 * Bytes that may wait for a reader: a piece of something much bigger, which would be kept with it, is copied. Queues count bytes, and whoever
 * sends one of them in each 16 KiB of what is thrown away would otherwise have us keep a gigabyte for 64 KiB.
 */
export function ownMemory(piece: Buffer): Buffer {
  return piece.length < piece.buffer.byteLength * MIN_SHARE ? Buffer.from(piece) : piece;
}
