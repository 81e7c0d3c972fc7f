import { expect } from 'chai';
import { DataPackets, isRecyclable, recycle, type PacketCipher } from '../../lib/ssh/data-packets.js';

const RECIPIENT = 7;
const TAG_BYTES = 16;

/** Lays packets out as a cipher with blocks of 16 bytes does, and "encrypts" in place by changing all but the length. */
class InPlaceCipher implements PacketCipher {
  made = 0;
  readonly plain: Buffer[] = [];
  readonly written: Buffer[] = [];
  readonly #blockBytes: number;

  constructor(blockBytes = 16) {
    this.#blockBytes = blockBytes;
  }

  allocPacket(payloadBytes: number): Buffer {
    this.made += 1;
    let paddingBytes = this.#blockBytes - ((1 + payloadBytes) % this.#blockBytes);
    if (paddingBytes < 4) paddingBytes += this.#blockBytes;
    const packet = Buffer.alloc(4 + 1 + payloadBytes + paddingBytes + TAG_BYTES);
    packet.writeUInt32BE(1 + payloadBytes + paddingBytes, 0);
    packet[4] = paddingBytes;
    return packet;
  }

  encrypt(packet: Buffer): void {
    this.plain.push(Buffer.from(packet));
    packet.fill(0xee);
    this.written.push(packet);
  }

  get last(): Buffer {
    return this.written.at(-1) ?? expect.fail('nothing was written');
  }
}

/** RFC 4253 §6 and RFC 4254 §5.2. */
function parsed(packet: Buffer) {
  const payload = packet.subarray(5, 4 + packet.readUInt32BE(0) - (packet[4] ?? 0));
  const data = payload.subarray(9);
  expect(payload[0]).to.equal(94);
  expect(payload.readUInt32BE(5)).to.equal(data.length);
  return { recipient: payload.readUInt32BE(1), data };
}

/** Of a size that no other test sends, because packets that are spare are those of the whole process. */
let nextBytes = 9000;
const someData = (letter = 'a'): Buffer => Buffer.alloc((nextBytes += 32), letter);

describe('DataPackets', () => {
  it('uses a packet again that has left the process, with nothing left of what it carried', () => {
    const packets = new DataPackets();
    const cipher = new InPlaceCipher();
    const data = someData();
    packets.send(cipher, RECIPIENT, data);
    const first = cipher.last;
    recycle(first);
    packets.send(
      cipher,
      RECIPIENT + 1,
      data.map((byte) => byte + 1),
    );
    expect(cipher.last).to.equal(first);
    expect(cipher.made).to.equal(1);
    expect(cipher.plain.map(parsed)).to.deep.equal([
      { recipient: RECIPIENT, data },
      { recipient: RECIPIENT + 1, data: Buffer.alloc(data.length, 'b') },
    ]);
  });

  it('makes a new one while the others are on their way', () => {
    const packets = new DataPackets();
    const cipher = new InPlaceCipher();
    const data = someData();
    packets.send(cipher, RECIPIENT, data);
    const first = cipher.last;
    packets.send(cipher, RECIPIENT, data);
    expect(cipher.last).to.not.equal(first);
    expect(cipher.made).to.equal(2);
  });

  it('lays a packet out as the cipher does that encrypts it now', () => {
    const packets = new DataPackets();
    const before = new InPlaceCipher(16);
    const after = new InPlaceCipher(64);
    const data = someData();
    packets.send(before, RECIPIENT, data);
    recycle(before.last);
    for (const letter of ['b', 'c']) {
      packets.send(after, RECIPIENT, Buffer.alloc(data.length, letter));
      recycle(after.last);
    }
    expect(after.plain.map(parsed).map(({ data }) => data[0])).to.deep.equal([98, 99]);
    const own = after.allocPacket(9 + data.length);
    for (const packet of after.plain) {
      expect(packet.length).to.equal(own.length);
      expect(packet.subarray(0, 5)).to.deep.equal(own.subarray(0, 5));
    }
  });

  it('takes a packet of the right size among others', () => {
    const packets = new DataPackets();
    const cipher = new InPlaceCipher();
    const [small, large] = [someData(), Buffer.alloc(someData().length + 4096)];
    packets.send(cipher, RECIPIENT, small);
    const first = cipher.last;
    packets.send(cipher, RECIPIENT, large);
    recycle(first);
    recycle(cipher.last);
    packets.send(cipher, RECIPIENT, small);
    packets.send(cipher, RECIPIENT, small);
    expect(cipher.written).to.include(first);
    expect(cipher.plain.map(parsed).map(({ data }) => data.length)).to.deep.equal(
      [small, large, small, small].map(({ length }) => length),
    );
  });

  it('keeps a bounded number of packets for later', () => {
    const packets = new DataPackets();
    const cipher = new InPlaceCipher();
    const data = someData();
    for (let sent = 0; sent < 100; sent += 1) packets.send(cipher, RECIPIENT, data);
    for (const packet of [...cipher.written]) recycle(packet);
    for (let sent = 0; sent < 100; sent += 1) packets.send(cipher, RECIPIENT, data);
    expect(cipher.made).to.equal(200 - 16);
  });

  it('takes nothing back that it has not made: what an application has written stays its own', () => {
    const cipher = new InPlaceCipher();
    const data = someData();
    const foreign = cipher.allocPacket(9 + data.length);
    expect(isRecyclable(foreign)).to.equal(false);
    recycle(foreign);
    const packets = new DataPackets();
    packets.send(cipher, RECIPIENT, data);
    packets.send(cipher, RECIPIENT, data);
    expect(cipher.written).to.not.include(foreign);
  });

  it('leaves small data to ssh2', () => {
    const packets = new DataPackets();
    expect(packets.takes(Buffer.alloc(8191))).to.equal(false);
    expect(packets.takes(Buffer.alloc(8192))).to.equal(true);
  });
});
