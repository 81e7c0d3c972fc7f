/*
 * How the bulk endpoints are spoken to: a count as an unsigned integer, then that many bytes, from the client to `sink` or from `source`
 * to the client. `sink` answers with one byte when it has them all.
 */

/** Length of the count. */
export const COUNT_BYTES = 6;

/** What is written at once; the size that a file or an HTTP body is read in. */
export const CHUNK = Buffer.alloc(64 * 1024, 'tunnel');

export function encodeCount(bytes: number): Buffer {
  const message = Buffer.alloc(COUNT_BYTES);
  message.writeUIntBE(bytes, 0, COUNT_BYTES);
  return message;
}
