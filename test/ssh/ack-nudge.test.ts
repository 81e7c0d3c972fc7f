import { expect } from 'chai';
import { AckNudge, delaysSmallAnswers } from '../../lib/ssh/ack-nudge.js';
import { turn } from '../support/dialer.js';

function createNudge() {
  const target = { written: 0, sent: 0 };
  const nudge = new AckNudge({ bytesWritten: () => target.written, send: () => (target.sent += 1) });
  return { nudge, target };
}

describe('delaysSmallAnswers', () => {
  const versions: [software: string, delays: boolean][] = [
    ['OpenSSH_9.2p1', true],
    ['OpenSSH_9.2p1 Debian-2+deb12u3', true],
    ['OpenSSH_7.4', true],
    ['OpenSSH_10.0p2', true],
    ['OpenSSH_10.1', false],
    ['OpenSSH_10.10p1', false],
    ['OpenSSH_11.0', false],
    ['OpenSSH_for_Windows_9.5', true],
    ['OpenSSH_for_Windows_10.2', false],
    ['dropbear_2022.83', false],
    ['Go', false],
    ['My OpenSSH_9.2', false],
    ['', false],
  ];
  for (const [software, delays] of versions) {
    it(`${delays ? 'expects' : 'does not expect'} Nagle's algorithm of ${JSON.stringify(software)}`, () => {
      expect(delaysSmallAnswers(software)).to.equal(delays);
    });
  }
});

describe('AckNudge', () => {
  it('sends once, in the next turn, for a small chunk that nothing has answered', async () => {
    const { nudge, target } = createNudge();
    nudge.received(1);
    expect(target.sent).to.equal(0);
    await turn();
    expect(target.sent).to.equal(1);
    await turn();
    expect(target.sent).to.equal(1);
  });

  it('sends nothing when something was written in the meantime: that carries the ACK', async () => {
    const { nudge, target } = createNudge();
    nudge.received(1);
    target.written += 1;
    await turn();
    expect(target.sent).to.equal(0);
  });

  it('sends once for many small chunks of one turn', async () => {
    const { nudge, target } = createNudge();
    for (let chunks = 0; chunks < 10; chunks += 1) nudge.received(100);
    await turn();
    expect(target.sent).to.equal(1);
  });

  it('counts what was written after the first chunk of a turn, not after the last', async () => {
    const { nudge, target } = createNudge();
    nudge.received(1);
    target.written += 1;
    nudge.received(1);
    await turn();
    expect(target.sent).to.equal(0);
  });

  it('leaves chunks of a stream in full flow alone', async () => {
    const { nudge, target } = createNudge();
    nudge.received(4097);
    nudge.received(65536);
    await turn();
    expect(target.sent).to.equal(0);
    nudge.received(4096);
    await turn();
    expect(target.sent).to.equal(1);
  });

  it('does not take its own message for an answer the next time', async () => {
    const { nudge, target } = createNudge();
    nudge.received(1);
    await turn();
    target.written += 68;
    nudge.received(1);
    await turn();
    expect(target.sent).to.equal(2);
  });
});
