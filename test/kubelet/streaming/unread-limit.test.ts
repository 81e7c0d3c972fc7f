import { expect } from 'chai';
import { useFakeTimers, type SinonFakeTimers } from 'sinon';
import { MAX_UNREAD_BYTES, UnreadLimit } from '../../../lib/kubelet/streaming/unread-limit.js';

const BLOCK = 32 * 1024;

describe('kubelet: what was sent and is not known to be read', () => {
  let clock: SinonFakeTimers;
  let pings: Buffer[];
  let limit: UnreadLimit;
  let calls: number;
  beforeEach(() => {
    clock = useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    pings = [];
    calls = 0;
    limit = new UnreadLimit((payload) => pings.push(payload));
  });
  afterEach(() => clock.restore());

  /** Sends as much as there is room for, and then waits. */
  const fill = (): number => {
    let sent = 0;
    for (; limit.hasRoom && sent < 10 * MAX_UNREAD_BYTES; sent += BLOCK) limit.beforeSending(BLOCK);
    limit.whenRoom(() => (calls += 1));
    return sent;
  };
  const answer = (ping = pings.at(-1)): void => limit.answered(ping ?? Buffer.alloc(0));

  it('is bounded, and there is room again as pings are answered', () => {
    limit.beforeSending(BLOCK);
    expect(pings, 'before all data').to.have.length(1);
    answer();
    expect(fill()).to.equal(MAX_UNREAD_BYTES - BLOCK);
    expect(pings.length).to.be.within(5, 10);
    expect(calls).to.equal(0);
    clock.tick(1e9);
    expect(calls).to.equal(0);
    answer(pings[2]);
    expect(calls).to.equal(1);
    expect(fill()).to.equal(2 * (MAX_UNREAD_BYTES / 8));
    answer();
    expect(calls).to.equal(2);
  });

  it('is not made less by answers that are old, or to no ping of ours', () => {
    fill();
    answer();
    fill();
    const rubbish = [
      ...pings.slice(0, 3),
      Buffer.alloc(0),
      Buffer.alloc(6, 0xff),
      Buffer.alloc(125),
      Buffer.alloc(5),
    ];
    for (const payload of rubbish) limit.answered(payload);
    expect(limit.hasRoom).to.equal(false);
    expect(calls).to.equal(1);
  });

  it('has no bound with a peer that does not answer in time, until it does', () => {
    fill();
    clock.tick(4_999);
    expect([calls, limit.hasRoom]).to.deep.equal([0, false]);
    clock.tick(1);
    expect([calls, limit.hasRoom]).to.deep.equal([1, true]);
    fill();
    answer(pings[0]);
    expect(limit.hasRoom).to.equal(false);
  });

  it('has no bound while we do not read, when no answer can come', () => {
    limit.beforeSending(BLOCK);
    answer();
    fill();
    limit.setReading(false);
    expect([calls, limit.hasRoom]).to.deep.equal([1, true]);
    limit.setReading(true);
    expect(limit.hasRoom).to.equal(false);
  });

  it('is asked for again when we read again, because the answers may have been dropped meanwhile', () => {
    limit.beforeSending(BLOCK);
    answer();
    limit.setReading(false);
    for (let sent = 0; sent < 2 * MAX_UNREAD_BYTES; sent += BLOCK) limit.beforeSending(BLOCK);
    const dropped = pings.length;
    limit.setReading(true);
    limit.whenRoom(() => (calls += 1));
    expect([limit.hasRoom, pings.length, calls]).to.deep.equal([false, dropped + 1, 0]);
    limit.setReading(true);
    expect(pings.length, 'once').to.equal(dropped + 1);
    answer();
    expect([limit.hasRoom, calls]).to.deep.equal([true, 1]);
    limit.setReading(false);
    limit.setReading(true);
    expect(pings.length, 'where there is room').to.equal(dropped + 1);
  });

  it('calls nobody back and leaves no timer when it is stopped', () => {
    fill();
    limit.stop();
    limit.whenRoom(() => (calls += 1));
    answer();
    expect([calls, clock.countTimers()]).to.deep.equal([0, 0]);
  });
});
