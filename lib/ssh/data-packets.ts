/** SSH_MSG_CHANNEL_DATA (RFC 4254 §5.2). */
const CHANNEL_DATA = 94;

/** Of the message, before the data: its number, the recipient, the length of the data. */
const HEADER_BYTES = 1 + 4 + 4;

/** Of a packet, before its payload: its length and the length of the padding (RFC 4253 §6). */
const PACKET_HEADER_BYTES = 4 + 1;

/** Smaller packets cost little to make and to collect. */
const MIN_DATA_BYTES = 8 * 1024;

/** With packets of 32 KiB, what ten busy connections have on their way and half a megabyte. */
const MAX_SPARE = 16;

/** What this library makes use of in a cipher of ssh2. */
export interface PacketCipher {
  /** Makes a packet but for its payload: lengths, padding, and room for the message authentication code. */
  allocPacket(payloadBytes: number): Buffer;
  /** Encrypts a packet and writes it: as it is if it can be encrypted in place, in pieces of other memory if not. */
  encrypt(packet: Buffer): void;
}

/** How a cipher lays out a packet. */
interface Layout {
  readonly cipher: PacketCipher;
  readonly payloadBytes: number;
  readonly paddingBytes: number;
  /** All of it. */
  readonly packetBytes: number;
}

/** Packets that are being written, or have been. */
const lent = new WeakSet<Uint8Array>();

/** Packets that have left the process, of all connections. */
const spare: Buffer[] = [];

/** Takes a packet back that has left the process; anything else is ignored. */
export function recycle(packet: Uint8Array): void {
  if (!isRecyclable(packet)) return;
  spare.push(packet);
  if (spare.length > MAX_SPARE) spare.shift();
}

/** Whether a chunk on its way to the kernel is a packet to be taken back when it has left. */
export function isRecyclable(chunk: Uint8Array): chunk is Buffer {
  return chunk.length >= MIN_DATA_BYTES && lent.has(chunk);
}

/**
 * Sends the data of one connection in packets that are used again. New memory for each of them costs a big upload a third of its speed,
 * most of it in the garbage collector.
 */
export class DataPackets {
  #layout: Layout | undefined;

  /** Whether data is worth it. */
  takes(data: Uint8Array): boolean {
    return data.length >= MIN_DATA_BYTES;
  }

  /** Sends CHANNEL_DATA. Not to be called while keys are exchanged. */
  send(cipher: PacketCipher, recipient: number, data: Uint8Array): void {
    const packet = this.#packet(cipher, HEADER_BYTES + data.length);
    const start = PACKET_HEADER_BYTES;
    packet[start] = CHANNEL_DATA;
    packet.writeUInt32BE(recipient, start + 1);
    packet.writeUInt32BE(data.length, start + 5);
    packet.set(data, start + HEADER_BYTES);
    cipher.encrypt(packet);
  }

  #packet(cipher: PacketCipher, payloadBytes: number): Buffer {
    const layout = this.#layout;
    if (layout?.cipher !== cipher || layout.payloadBytes !== payloadBytes)
      return this.#new(cipher, payloadBytes);
    const { packetBytes, paddingBytes } = layout;
    const index = spare.findLastIndex(({ length }) => length === packetBytes);
    const [packet] = index === -1 ? [] : spare.splice(index, 1);
    if (packet === undefined) return this.#new(cipher, payloadBytes);
    packet.writeUInt32BE(1 + payloadBytes + paddingBytes, 0);
    packet[4] = paddingBytes;
    // The padding is what was there: ciphertext, which to the peer is as random as RFC 4253 §6 asks for.
    return packet;
  }

  #new(cipher: PacketCipher, payloadBytes: number): Buffer {
    const packet = cipher.allocPacket(payloadBytes);
    this.#layout = { cipher, payloadBytes, paddingBytes: packet[4] ?? 0, packetBytes: packet.length };
    lent.add(packet);
    return packet;
  }
}
