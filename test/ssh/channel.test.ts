import { expect } from 'chai';
import { WINDOW_BYTES, type ChannelPeer } from '../../lib/ssh/channel.js';
import { FakePeer, noteEvents } from '../support/fake-peer.js';

function open(options: Partial<ChannelPeer> = {}) {
  const peer = new FakePeer(options);
  const answer = { wantsMore: true };
  const { events, listener } = noteEvents(answer);
  const channel = peer.open(listener);
  return { peer, answer, events, channel };
}

const PACKET_BYTES = 32 * 1024;

describe('Channel', () => {
  describe('what arrives', () => {
    it('goes to the listener', () => {
      const { peer, events } = open();
      peer.deliver('a');
      peer.deliver('b');
      expect(events).to.deep.equal(['data a', 'data b']);
    });

    it('ends once, at EOF, and nothing is let in after it', () => {
      const { peer, events, channel } = open();
      peer.deliver('a');
      peer.peerEof();
      peer.peerEof();
      peer.deliver('late');
      channel.resume();
      expect(events).to.deep.equal(['data a', 'end']);
      expect(peer.roomBytes).to.equal(0);
    });

    it('is closed once, with EOF or without, and CLOSE is answered with CLOSE', () => {
      const { peer, events, channel } = open();
      peer.peerClose();
      channel.lost();
      expect(events).to.deep.equal(['closed']);
      expect(peer.sent).to.deep.equal(['CLOSE']);
      const other = open();
      other.peer.peerEof();
      other.peer.peerClose();
      expect(other.events).to.deep.equal(['end', 'closed']);
      expect(other.peer.marks).to.deep.equal(['over']);
    });

    it('that asks for an answer is not granted, until we have closed', () => {
      const { peer, channel } = open();
      channel.receivedRequest();
      channel.close();
      channel.receivedRequest();
      expect(peer.sent).to.deep.equal(['REFUSED', 'CLOSE']);
    });
  });

  describe("the peer's room", () => {
    it('grows to a whole window again when half of it is used up', () => {
      const { peer } = open();
      for (let bytes = PACKET_BYTES; bytes < WINDOW_BYTES / 2; bytes += PACKET_BYTES)
        peer.deliver(Buffer.alloc(PACKET_BYTES));
      expect(peer.roomBytes).to.equal(0);
      peer.deliver(Buffer.alloc(PACKET_BYTES));
      expect(peer.roomBytes).to.equal(WINDOW_BYTES / 2);
    });

    it('does not grow while the listener wants no more, and does when it asks', () => {
      const { peer, answer, channel } = open();
      answer.wantsMore = false;
      for (let bytes = 0; bytes < WINDOW_BYTES; bytes += PACKET_BYTES)
        peer.deliver(Buffer.alloc(PACKET_BYTES));
      expect(peer.roomBytes).to.equal(0);
      channel.resume();
      channel.resume();
      expect(peer.roomBytes).to.equal(WINDOW_BYTES);
      expect(peer.violations).to.deep.equal([]);
    });

    it('is all that it may use: the first byte beyond it violates the protocol', () => {
      const { peer, events, answer } = open();
      answer.wantsMore = false;
      peer.deliver(Buffer.alloc(WINDOW_BYTES));
      expect(peer.violations).to.deep.equal([]);
      events.length = 0;
      peer.deliver('x');
      expect(peer.violations).to.deep.equal(['sent more data than the window of a channel allows']);
      expect(events).to.deep.equal([]);
    });

    it('never grows after our CLOSE, however much arrives', () => {
      const { peer, channel } = open();
      channel.close();
      for (let packets = 0; packets < 100; packets += 1) peer.deliver(Buffer.alloc(PACKET_BYTES));
      channel.resume();
      expect(peer.roomBytes).to.equal(0);
      expect(peer.violations).to.deep.equal([]);
    });
  });

  describe('what is written', () => {
    it('goes out at once while the connection takes it', () => {
      const { peer, channel } = open();
      let done = 0;
      channel.write(Buffer.from('a'), () => (done += 1));
      channel.write(Buffer.alloc(0), () => (done += 1));
      expect(peer.sent).to.deep.equal(['a']);
      expect(done).to.equal(2);
    });

    it('waits for its turn while the connection is full', () => {
      const { peer, channel } = open();
      peer.canWrite = false;
      let done = 0;
      channel.write(Buffer.from('a'), () => (done += 1));
      peer.gate.open();
      expect(peer.sent).to.deep.equal([]);
      peer.canWrite = true;
      peer.gate.open();
      expect(peer.sent).to.deep.equal(['a']);
      expect(done).to.equal(1);
    });

    it('goes out in packets of the size that the peer takes', () => {
      const { peer, channel } = open({ packetBytes: 4 });
      channel.write(Buffer.from('abcdefghij'), () => undefined);
      expect(peer.sent).to.deep.equal(['abcd', 'efgh', 'ij']);
    });

    it('takes a turn for every 64 KiB, between which its siblings come', () => {
      const { peer, channel } = open();
      const chunk = Buffer.alloc(150 * 1024, 'x');
      let done = 0;
      peer.canWrite = false;
      channel.write(chunk, () => (done += 1));
      peer.gate.pass(() => void peer.sent.push('sibling'));
      peer.canWrite = true;
      peer.gate.open();
      const sizes = peer.sent.map((sent) => (sent === 'sibling' ? sent : sent.length));
      expect(sizes).to.deep.equal([65536, 'sibling', 65536, 150 * 1024 - 131072]);
      expect(done).to.equal(1);
    });

    it("uses up the peer's room and no more, and goes on with every bit of room that it makes", () => {
      const { peer, channel } = open({ windowBytes: 3, packetBytes: 2 });
      let done = 0;
      channel.write(Buffer.from('abcdefg'), () => (done += 1));
      expect(peer.sent).to.deep.equal(['ab', 'c']);
      channel.receivedRoom(0);
      channel.receivedRoom(1);
      expect(peer.sent).to.deep.equal(['ab', 'c', 'd']);
      expect(done).to.equal(0);
      channel.receivedRoom(100);
      expect(peer.sent).to.deep.equal(['ab', 'c', 'd', 'ef', 'g']);
      expect(done).to.equal(1);
      channel.write(Buffer.alloc(98), () => (done += 1));
      expect(done).to.equal(1);
    });

    it('waits for room only once, however often the peer makes some while it waits for its turn', () => {
      const { peer, channel } = open({ windowBytes: 1 });
      channel.write(Buffer.from('abc'), () => undefined);
      peer.canWrite = false;
      channel.receivedRoom(1);
      channel.receivedRoom(1);
      peer.canWrite = true;
      peer.gate.open();
      expect(peer.sent).to.deep.equal(['a', 'bc']);
    });

    it('finds a peer out whose room overflows', () => {
      const { peer, channel } = open({ windowBytes: 2 ** 32 - 1 });
      channel.receivedRoom(1);
      expect(peer.violations).to.deep.equal(['made a window larger than there can be']);
    });

    it('of exactly one turn takes one', () => {
      const { peer, channel } = open();
      channel.write(Buffer.alloc(64 * 1024), () => undefined);
      expect(peer.sent).to.have.length(1);
    });

    it('ends with EOF, in its turn', () => {
      const { peer, channel } = open();
      peer.canWrite = false;
      let done = 0;
      channel.end(() => (done += 1));
      expect(peer.sent).to.deep.equal([]);
      peer.canWrite = true;
      peer.gate.open();
      expect(peer.sent).to.deep.equal(['EOF']);
      expect(done).to.equal(1);
    });

    it('is reported as done, and as ended, only when it has left the process', () => {
      const { peer, channel } = open();
      peer.hold();
      const done: string[] = [];
      channel.write(Buffer.alloc(100 * 1024), () => done.push('write'));
      expect(done).to.deep.equal([]);
      peer.release();
      expect(done).to.deep.equal(['write']);
      channel.end(() => done.push('end'));
      expect(done).to.deep.equal(['write']);
      peer.release();
      expect(done).to.deep.equal(['write', 'end']);
    });

    for (const [how, act] of [
      ['we close', ({ channel }: ReturnType<typeof open>) => channel.close()],
      ['the peer closes', ({ peer }: ReturnType<typeof open>) => peer.peerClose()],
      ['the connection is lost', ({ channel }: ReturnType<typeof open>) => channel.lost()],
    ] as const) {
      it(`gives up its turn when ${how}`, () => {
        const opened = open();
        const { peer, channel } = opened;
        peer.canWrite = false;
        channel.write(Buffer.from('a'), () => expect.fail('it was not written'));
        act(opened);
        peer.canWrite = true;
        peer.gate.open();
        expect(peer.sent).to.not.include('a');
      });

      it(`is not sent, and neither is EOF, once ${how}`, () => {
        const opened = open();
        const { peer, channel } = opened;
        act(opened);
        const before = [...peer.sent];
        channel.write(Buffer.from('a'), () => expect.fail('it was not written'));
        channel.end(() => expect.fail('it was not written'));
        expect(peer.sent).to.deep.equal(before);
      });

      it(`waits for no room any more when ${how}`, () => {
        const opened = open({ windowBytes: 1 });
        opened.channel.write(Buffer.from('ab'), () => expect.fail('half of it was not written'));
        act(opened);
        opened.channel.receivedRoom(1);
        expect(opened.peer.sent).to.not.include('b');
      });
    }
  });

  describe('closing', () => {
    it('sends CLOSE once, drops what still arrives, and is over with the CLOSE of the peer', () => {
      const { peer, events, channel } = open();
      channel.close();
      channel.close();
      peer.deliver('late');
      peer.peerEof();
      expect(peer.marks).to.deep.equal(['abandoned']);
      peer.peerClose();
      expect(peer.marks).to.deep.equal(['abandoned', 'over']);
      expect(peer.sent).to.deep.equal(['CLOSE']);
      expect(events).to.deep.equal([]);
    });

    it('is over without a word to the listener when the connection goes before the CLOSE of the peer', () => {
      const { peer, events, channel } = open();
      channel.close();
      channel.lost();
      expect(peer.marks).to.deep.equal(['abandoned', 'over']);
      expect(events).to.deep.equal([]);
    });

    it('does nothing when the channel is over', () => {
      const { peer, events, channel } = open();
      peer.peerClose();
      const before = [...peer.sent];
      channel.close();
      expect(events).to.deep.equal(['closed']);
      expect(peer.marks).to.deep.equal(['over']);
      expect(peer.sent).to.deep.equal(before);
    });
  });

  it('passes on whether anybody would miss it', () => {
    const { peer, channel } = open();
    channel.setIdle(true);
    channel.setIdle(false);
    expect(peer.marks).to.deep.equal(['idle', 'busy']);
  });
});
