/** Message number of SSH_MSG_NEWKEYS (RFC 4253 §7.3): what follows is encrypted. */
const NEW_KEYS = 21;

/** Of a packet before its payload: its length and the length of its padding (RFC 4253 §6). */
const LENGTH_BYTES = 4;
const TYPE_AT = LENGTH_BYTES + 1;

/** What AES-GCM adds to a packet (RFC 5647 §7.1). The length before it stays legible. */
const TAG_BYTES = 16;

/** OpenSSH's limit (packet.c, PACKET_MAX_SIZE): a length beyond it is none. */
const MAX_PACKET_BYTES = 256 * 1024;

/** Counts the SSH packets of one direction of a connection, however TCP has cut them into pieces. */
export class PacketCounter {
  bytes = 0;
  /** Whole packets so far; the line that introduces the sender is none. */
  packets = 0;
  #encrypted = false;
  #introduced = false;
  #pending: Buffer = Buffer.alloc(0);

  /** @throws Error when what follows the key exchange is not AES-GCM */
  add(chunk: Buffer): void {
    this.bytes += chunk.length;
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    if (!this.#introduced) this.#skipIntroduction();
    while (this.#introduced && this.#takePacket());
  }

  #skipIntroduction(): void {
    const end = this.#pending.indexOf('\n');
    if (end < 0) return;
    this.#introduced = true;
    this.#pending = this.#pending.subarray(end + 1);
  }

  #takePacket(): boolean {
    if (this.#pending.length <= TYPE_AT) return false;
    const counted = this.#pending.readUInt32BE(0);
    if (counted > MAX_PACKET_BYTES)
      throw new Error(`packets cannot be told apart: a length of ${counted}, so the cipher is not AES-GCM`);
    const length = LENGTH_BYTES + counted + (this.#encrypted ? TAG_BYTES : 0);
    if (this.#pending.length < length) return false;
    if (!this.#encrypted && this.#pending[TYPE_AT] === NEW_KEYS) this.#encrypted = true;
    this.#pending = this.#pending.subarray(length);
    this.packets += 1;
    return true;
  }
}
