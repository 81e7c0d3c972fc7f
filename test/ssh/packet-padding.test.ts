import { expect } from 'chai';
import type { PacketCipher } from '../../lib/ssh/data-packets.js';
import { poolPadding } from '../../lib/ssh/packet-padding.js';

const HEADER_BYTES = 5;
const PADDING_BYTES = 12;
const TAG_BYTES = 16;

/** Makes packets as ssh2's ciphers do, with a padding that gives it away. */
class MarkingCipher implements PacketCipher {
  made = 0;

  allocPacket(payloadBytes: number): Buffer {
    this.made += 1;
    const packet = Buffer.alloc(HEADER_BYTES + payloadBytes + PADDING_BYTES + TAG_BYTES, 0xee);
    packet.writeUInt32BE(1 + payloadBytes + PADDING_BYTES, 0);
    packet[4] = PADDING_BYTES;
    return packet;
  }

  encrypt(): void {
    expect.fail('nothing is sent here');
  }
}

function pooledCipher(): MarkingCipher {
  const cipher = new MarkingCipher();
  poolPadding(cipher);
  return cipher;
}

const paddingOf = (packet: Buffer, payloadBytes: number): string =>
  packet.toString('hex', HEADER_BYTES + payloadBytes, HEADER_BYTES + payloadBytes + PADDING_BYTES);

describe('poolPadding', () => {
  it("lays small packets out as the cipher does, once it has seen one of the cipher's", () => {
    const cipher = pooledCipher();
    for (const payloadBytes of [1, 19, 256]) {
      const own = cipher.allocPacket(payloadBytes);
      const pooled = cipher.allocPacket(payloadBytes);
      expect(pooled).to.have.length(own.length);
      expect(pooled.subarray(0, HEADER_BYTES)).to.deep.equal(own.subarray(0, HEADER_BYTES));
    }
    expect(cipher.made).to.equal(3);
  });

  it('gives every packet another padding, also when the pool is used up', () => {
    const cipher = pooledCipher();
    cipher.allocPacket(9);
    const paddings = Array.from({ length: 5000 }, () => paddingOf(cipher.allocPacket(9), 9));
    expect(new Set(paddings).size).to.equal(paddings.length);
    expect(cipher.made).to.equal(1);
  });

  it('leaves large packets to the cipher', () => {
    const cipher = pooledCipher();
    cipher.allocPacket(257);
    expect(paddingOf(cipher.allocPacket(257), 257)).to.equal('ee'.repeat(PADDING_BYTES));
    expect(cipher.made).to.equal(2);
  });

  it('keeps the layouts of two ciphers apart', () => {
    const [one, other] = [pooledCipher(), pooledCipher()];
    one.allocPacket(9);
    other.allocPacket(9);
    expect([one.made, other.made]).to.deep.equal([1, 1]);
  });
});
