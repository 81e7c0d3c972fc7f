import { randomFillSync } from 'node:crypto';
import type { PacketCipher } from './data-packets.js';

const POOL_BYTES = 16 * 1024;

/** Larger packets cost so much else that their padding does not matter. */
const MAX_PAYLOAD_BYTES = 256;

/** Of a packet, before its payload: its length and the length of the padding (RFC 4253 §6). */
const HEADER_BYTES = 4 + 1;

/** Blocks are of 8 or 16 bytes: what is the same in this has the same padding. */
const BLOCK_BYTES = 16;

/** What the packets of a cipher have in common whose payloads end at the same place of a block. */
interface Layout {
  /** Of the whole, beside the payload. */
  readonly overheadBytes: number;
  /** What the length at the beginning counts, beside the payload. */
  readonly countedBytes: number;
  readonly paddingBytes: number;
}

/** Random bytes that no packet has had yet, from `used` on. */
const pool = Buffer.allocUnsafeSlow(POOL_BYTES);
let used = POOL_BYTES;

/**
 * Has a cipher of ssh2 take the padding of small packets from a pool of random bytes, of which none is used twice. ssh2 asks the generator
 * for a few at each packet, which is a sixth of what a dial costs the process.
 */
export function poolPadding(cipher: PacketCipher): void {
  const allocPacket = cipher.allocPacket.bind(cipher);
  const layouts = new Map<number, Layout>();
  cipher.allocPacket = (payloadBytes) => {
    const layout = layouts.get(payloadBytes % BLOCK_BYTES);
    if (layout !== undefined && payloadBytes <= MAX_PAYLOAD_BYTES) return newPacket(layout, payloadBytes);
    const packet = allocPacket(payloadBytes);
    if (payloadBytes <= MAX_PAYLOAD_BYTES)
      layouts.set(payloadBytes % BLOCK_BYTES, layoutOf(packet, payloadBytes));
    return packet;
  };
}

const layoutOf = (packet: Buffer, payloadBytes: number): Layout => ({
  overheadBytes: packet.length - payloadBytes,
  countedBytes: packet.readUInt32BE(0) - payloadBytes,
  paddingBytes: packet.readUInt8(4),
});

function newPacket({ overheadBytes, countedBytes, paddingBytes }: Layout, payloadBytes: number): Buffer {
  const packet = Buffer.allocUnsafe(overheadBytes + payloadBytes);
  packet.writeUInt32BE(countedBytes + payloadBytes, 0);
  packet[4] = paddingBytes;
  if (used + paddingBytes > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  used += pool.copy(packet, HEADER_BYTES + payloadBytes, used, used + paddingBytes);
  return packet;
}
