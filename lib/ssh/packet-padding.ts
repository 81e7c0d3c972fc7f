import { randomFillSync } from 'node:crypto';
import type { PacketCipher } from './data-packets.js';

const POOL_BYTES = 16 * 1024;

/** Larger packets cost so much else that their padding does not matter. */
const MAX_PAYLOAD_BYTES = 256;

/** Of a packet, before its payload: its length and the length of the padding (RFC 4253 §6). */
const HEADER_BYTES = 4 + 1;

/** What the packets of a cipher with a payload of one size have in common. */
interface Layout {
  readonly packetBytes: number;
  readonly lengthField: number;
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
    const layout = layouts.get(payloadBytes);
    if (layout !== undefined) return newPacket(layout, payloadBytes);
    const packet = allocPacket(payloadBytes);
    if (payloadBytes <= MAX_PAYLOAD_BYTES) layouts.set(payloadBytes, layoutOf(packet));
    return packet;
  };
}

const layoutOf = (packet: Buffer): Layout => ({
  packetBytes: packet.length,
  lengthField: packet.readUInt32BE(0),
  paddingBytes: packet.readUInt8(4),
});

function newPacket({ packetBytes, lengthField, paddingBytes }: Layout, payloadBytes: number): Buffer {
  const packet = Buffer.allocUnsafe(packetBytes);
  packet.writeUInt32BE(lengthField, 0);
  packet[4] = paddingBytes;
  if (used + paddingBytes > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  used += pool.copy(packet, HEADER_BYTES + payloadBytes, used, used + paddingBytes);
  return packet;
}
