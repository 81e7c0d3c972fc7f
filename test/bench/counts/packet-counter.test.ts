import { expect } from 'chai';
import { PacketCounter } from './packet-counter.js';

const NEW_KEYS = 21;

/** A packet before the key exchange is done: length, length of the padding, message number, the rest. */
function packet(message: number, bytes = 12): Buffer {
  const whole = Buffer.alloc(4 + bytes);
  whole.writeUInt32BE(bytes, 0);
  whole[5] = message;
  return whole;
}

/** One of AES-GCM: the length is legible, a tag follows. */
const sealed = (bytes: number, filling: number): Buffer =>
  Buffer.concat([packet(filling, bytes), Buffer.alloc(16, filling)]);

const DIRECTION = Buffer.concat([
  Buffer.from('SSH-2.0-OpenSSH_9.2p1\r\n'),
  packet(20, 500),
  packet(30),
  packet(NEW_KEYS),
  sealed(32, 0xff),
  // What is encrypted may look like a key exchange.
  sealed(16, NEW_KEYS),
  sealed(3000, 0),
]);

describe('the packets of an SSH connection', () => {
  for (const size of [1, 7, 1000, DIRECTION.length]) {
    it(`are counted in pieces of ${size} bytes`, () => {
      const counter = new PacketCounter();
      for (let at = 0; at < DIRECTION.length; at += size) counter.add(DIRECTION.subarray(at, at + size));
      expect(counter.bytes).to.equal(DIRECTION.length);
      expect(counter.packets).to.equal(6);
    });
  }

  it('are counted when they are whole', () => {
    const counter = new PacketCounter();
    counter.add(DIRECTION.subarray(0, -1));
    expect(counter.packets).to.equal(5);
  });

  it('are not guessed at under another cipher than AES-GCM', () => {
    const counter = new PacketCounter();
    counter.add(Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), packet(NEW_KEYS)]));
    expect(() => counter.add(Buffer.alloc(64, 0xab))).to.throw('AES-GCM');
  });
});
