/** A copy for long keeping: a small `Buffer` is else a piece of 8 kB that Node cuts up for many (`Buffer.poolSize`), and keeps all of it. */
export function ownCopy(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
