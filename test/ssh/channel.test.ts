import { expect } from 'chai';
import { Channel } from '../../lib/ssh/channel.js';
import { WriteGate } from '../../lib/ssh/write-gate.js';
import { FakeRawChannel, noteEvents, WINDOW_BYTES } from '../support/fake-channel.js';

function open() {
  const raw = new FakeRawChannel();
  const signals = { canWrite: true, whenFlushed: (done: () => void): unknown => (done(), undefined) };
  const gate = new WriteGate({
    canWrite: () => signals.canWrite,
    whenFlushed: (done) => void signals.whenFlushed(done),
  });
  const answer = { wantsMore: true };
  const { events, listener } = noteEvents(answer);
  const owner = {
    gate,
    setIdle: (idle: boolean) => void events.push(idle ? 'idle' : 'busy'),
    violated: (problem: string) => void events.push(`violated: ${problem}`),
    abandoned: () => void events.push('abandoned'),
    closed: () => void events.push('over'),
  };
  const channel = new Channel(raw, owner, listener);
  return { raw, signals, gate, answer, events, channel };
}

describe('Channel', () => {
  describe('what arrives', () => {
    it('goes to the listener, whose answer goes back to ssh2', () => {
      const { raw, events, answer } = open();
      expect(raw.deliver('a')).to.equal(true);
      answer.wantsMore = false;
      expect(raw.deliver('b')).to.equal(false);
      expect(events).to.deep.equal(['data a', 'data b']);
    });

    it('lets the window grow again when the listener has room', () => {
      const { raw, channel } = open();
      channel.resume();
      expect(raw.resumed).to.equal(1);
    });

    it('ends once, at EOF, and nothing is let in after it', () => {
      const { raw, events, channel } = open();
      raw.deliver('a');
      raw.peerEof();
      raw.deliver('late');
      channel.resume();
      expect(events).to.deep.equal(['data a', 'end']);
      expect(raw.resumed).to.equal(0);
    });

    it('is closed once, with EOF or without', () => {
      const { raw, events, channel } = open();
      raw.peerClose();
      channel.lost();
      expect(events).to.deep.equal(['over', 'closed']);
      const other = open();
      other.raw.peerEof();
      other.raw.peerClose();
      expect(other.events).to.deep.equal(['end', 'over', 'closed']);
    });

    it('takes extended data, of which direct-tcpip has none, for a violation of the protocol', () => {
      const { raw, events } = open();
      expect(raw.stderr.push(null)).to.equal(true);
      expect(events).to.deep.equal([]);
      raw.stderr.push(Buffer.from('x'));
      expect(events).to.deep.equal(['violated: sent extended data on a forwarded channel']);
    });
  });

  describe('a peer that ignores the window', () => {
    it('violates the protocol with the first packet that goes beyond it', () => {
      const { raw, events } = open();
      raw.incoming.window = 10;
      raw.deliver('x'.repeat(11));
      expect(events).to.deep.equal(['violated: sent more data than the window of a channel allows']);
    });

    it('violates the protocol when it has used up the window exactly and goes on', () => {
      const { raw, events, answer } = open();
      answer.wantsMore = false;
      for (let sent = 0; sent < WINDOW_BYTES; sent += 32 * 1024) raw.deliver(Buffer.alloc(32 * 1024));
      expect(events.filter((event) => event.startsWith('violated'))).to.deep.equal([]);
      raw.deliver('x');
      expect(events.filter((event) => event.startsWith('violated'))).to.have.length(1);
    });
  });

  describe('what is written', () => {
    it('goes out at once while the connection takes it', () => {
      const { raw, channel } = open();
      let done = 0;
      channel.write(Buffer.from('a'), () => (done += 1));
      expect(raw.sent).to.deep.equal(['a']);
      expect(done).to.equal(1);
    });

    it('waits for its turn while the connection is full', () => {
      const { raw, signals, gate, channel } = open();
      signals.canWrite = false;
      let done = 0;
      channel.write(Buffer.from('a'), () => (done += 1));
      gate.open();
      expect(raw.sent).to.deep.equal([]);
      signals.canWrite = true;
      gate.open();
      expect(raw.sent).to.deep.equal(['a']);
      expect(done).to.equal(1);
    });

    it('takes a turn for every 64 KiB, between which its siblings come', () => {
      const { raw, signals, gate, channel } = open();
      const chunk = Buffer.alloc(150 * 1024, 'x');
      let done = 0;
      signals.canWrite = false;
      channel.write(chunk, () => (done += 1));
      gate.pass(() => void raw.sent.push('sibling'));
      signals.canWrite = true;
      gate.open();
      const sizes = raw.sent.map((sent) => (sent === 'sibling' ? sent : sent.length));
      expect(sizes).to.deep.equal([65536, 'sibling', 65536, 150 * 1024 - 131072]);
      expect(done).to.equal(1);
    });

    it("waits for the peer's window between its turns", () => {
      const { raw, channel } = open();
      raw.hold();
      let done = 0;
      channel.write(Buffer.alloc(65 * 1024), () => (done += 1));
      expect(raw.sent).to.have.length(1);
      raw.release();
      expect(raw.sent).to.have.length(2);
      expect(done).to.equal(0);
      raw.release();
      expect(done).to.equal(1);
    });

    it('of exactly one turn takes one', () => {
      const { raw, channel } = open();
      channel.write(Buffer.alloc(64 * 1024), () => undefined);
      expect(raw.sent).to.have.length(1);
    });

    it('ends with EOF, in its turn', () => {
      const { raw, signals, gate, channel } = open();
      signals.canWrite = false;
      let done = 0;
      channel.end(() => (done += 1));
      expect(raw.sent).to.deep.equal([]);
      signals.canWrite = true;
      gate.open();
      expect(raw.sent).to.deep.equal(['EOF']);
      expect(done).to.equal(1);
    });

    it('is reported as done, and as ended, only when it has left the process', () => {
      const { signals, channel } = open();
      const unflushed: (() => void)[] = [];
      signals.whenFlushed = (flushed) => unflushed.push(flushed);
      const done: string[] = [];
      channel.write(Buffer.alloc(100 * 1024), () => done.push('write'));
      expect([done, unflushed.length]).to.deep.equal([[], 1]);
      unflushed.pop()?.();
      expect(done).to.deep.equal(['write']);
      channel.end(() => done.push('end'));
      expect(done).to.deep.equal(['write']);
      unflushed.pop()?.();
      expect(done).to.deep.equal(['write', 'end']);
    });

    for (const [how, act] of [
      ['we close', ({ channel }: ReturnType<typeof open>) => channel.close()],
      ['the peer closes', ({ raw }: ReturnType<typeof open>) => raw.peerClose()],
      ['the connection is lost', ({ channel }: ReturnType<typeof open>) => channel.lost()],
    ] as const) {
      it(`gives up its turn when ${how}`, () => {
        const opened = open();
        const { raw, signals, gate, channel } = opened;
        signals.canWrite = false;
        channel.write(Buffer.from('a'), () => expect.fail('it was not written'));
        act(opened);
        signals.canWrite = true;
        gate.open();
        expect(raw.sent).to.not.include('a');
      });
    }

    it('is never reported as done when the peer closes between two turns', () => {
      const { raw, channel } = open();
      raw.hold();
      channel.write(Buffer.alloc(100 * 1024), () => expect.fail('half of it was not written'));
      raw.peerClose();
      raw.release();
      expect(raw.sent.filter((sent) => sent !== 'CLOSE')).to.have.length(1);
    });
  });

  describe('closing', () => {
    it('sends CLOSE once, drops what still arrives, and is over with the CLOSE of the peer', () => {
      const { raw, events, channel } = open();
      channel.close();
      channel.close();
      expect(raw.deliver('late')).to.equal(true);
      raw.peerEof();
      expect(events).to.deep.equal(['abandoned']);
      raw.peerClose();
      expect(events).to.deep.equal(['abandoned', 'over']);
      expect(raw.sent).to.deep.equal(['CLOSE']);
    });

    it('never lets the window grow after CLOSE, however much arrives', () => {
      const { raw, channel } = open();
      channel.close();
      for (let packets = 0; packets < 100; packets += 1) raw.deliver(Buffer.alloc(32 * 1024));
      channel.resume();
      expect(raw.resumed).to.equal(0);
      expect(WINDOW_BYTES - raw.incoming.window).to.be.below(0);
    });

    it('is over without a word to the listener when the connection goes before the CLOSE of the peer', () => {
      const { events, channel } = open();
      channel.close();
      channel.lost();
      expect(events).to.deep.equal(['abandoned', 'over']);
    });

    it('does nothing when the channel is over', () => {
      const { raw, events, channel } = open();
      raw.peerClose();
      const before = [...raw.sent];
      channel.close();
      expect(events).to.deep.equal(['over', 'closed']);
      expect(raw.sent).to.deep.equal(before);
    });
  });

  it('passes on whether anybody would miss it', () => {
    const { events, channel } = open();
    channel.setIdle(true);
    channel.setIdle(false);
    expect(events).to.deep.equal(['idle', 'busy']);
  });
});
