import { expect } from 'chai';
import sinon, { type SinonFakeTimers } from 'sinon';
import { Keepalive } from '../../lib/ssh/keepalive.js';

describe('Keepalive', () => {
  let clock: SinonFakeTimers;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    // Zero stands for 'never' here; no real clock of a process gives it.
    clock.tick(1);
  });

  afterEach(() => {
    clock.restore();
  });

  /** A keepalive of 1000 ms, and when it probed and died. */
  function create(countMax = 2, whenCarried?: (done: () => void) => void) {
    const startedAt = performance.now();
    const events: string[] = [];
    const note = (what: string) => () => void events.push(`${what} ${performance.now() - startedAt}`);
    const keepalive = new Keepalive({
      intervalMs: 1000,
      countMax,
      probe: note('probe'),
      mark: note('mark'),
      whenCarried,
      onDead: note('dead'),
    });
    return { keepalive, events };
  }

  it('asks for an answer after every 256 KiB sent, which counts for no probe', () => {
    const { keepalive, events } = create();
    for (const kib of [100, 255, 256, 300, 511, 600, 601, 2000]) keepalive.sent(kib * 1024);
    expect(events).to.deep.equal(['mark 0', 'mark 0', 'mark 0']);
    clock.tick(3000);
    expect(events.slice(3)).to.deep.equal(['probe 1000', 'probe 2000', 'dead 3000']);
  });

  it('declares death interval × (count + 1) after the last byte, having asked count times', () => {
    const { events } = create();
    clock.tick(10_000);
    expect(events).to.deep.equal(['probe 1000', 'probe 2000', 'dead 3000']);
  });

  it('does not count a probe as unanswered while it is carried by what has much to carry', () => {
    const carried: (() => void)[] = [];
    const { keepalive, events } = create(2, (done) => void carried.push(done));
    clock.tick(20_000);
    expect(events).to.deep.equal(['probe 1000']);
    carried.shift()?.();
    clock.tick(1000);
    expect(events).to.deep.equal(['probe 1000', 'probe 21000']);
    keepalive.heard();
    carried.shift()?.();
    clock.tick(1000);
    expect(events.slice(2)).to.deep.equal(['probe 22000']);
    carried.shift()?.();
    clock.tick(1000);
    carried.shift()?.();
    clock.tick(1000);
    expect(events.slice(3)).to.deep.equal(['probe 23000', 'dead 24000']);
  });

  it('asks as often as it is told to', () => {
    const { events } = create(1);
    clock.tick(10_000);
    expect(events).to.deep.equal(['probe 1000', 'dead 2000']);
  });

  it('sends nothing while bytes arrive', () => {
    const { keepalive, events } = create();
    for (let times = 0; times < 50; times += 1) {
      clock.tick(900);
      keepalive.heard();
    }
    expect(events).to.deep.equal([]);
  });

  it('probes one interval after the last byte, not at a fixed beat', () => {
    const { keepalive, events } = create();
    clock.tick(700);
    keepalive.heard();
    clock.tick(999);
    expect(events).to.deep.equal([]);
    clock.tick(1);
    expect(events).to.deep.equal(['probe 1700']);
  });

  it('forgets unanswered probes as soon as a byte arrives', () => {
    const { keepalive, events } = create();
    clock.tick(2500);
    keepalive.heard();
    clock.tick(2999);
    expect(events).to.deep.equal(['probe 1000', 'probe 2000', 'probe 3500', 'probe 4500']);
    clock.tick(1);
    expect(events.at(-1)).to.equal('dead 5500');
  });

  it('lives on as long as each probe is answered late', () => {
    const { keepalive, events } = create(1);
    for (let times = 0; times < 20; times += 1) {
      clock.tick(1999);
      keepalive.heard();
    }
    expect(events.filter((event) => event.startsWith('dead'))).to.deep.equal([]);
  });

  it('does not take the time that our own process slept for silence of the peer', () => {
    const { keepalive, events } = create();
    clock.tick(500);
    keepalive.heard();
    // The timer is late by an hour, as after SIGSTOP; what the peer has sent still lies in the kernel.
    const now = performance.now.bind(performance);
    const slept = sinon.stub(performance, 'now').callsFake(() => now() + 3_600_000);
    clock.tick(500);
    slept.restore();
    expect(events).to.deep.equal(['probe 3601000']);
    keepalive.stop();
  });

  it('asks at once when told to, and counts on from there', () => {
    const { keepalive, events } = create();
    clock.tick(300);
    keepalive.heard();
    clock.tick(100);
    keepalive.probeNow();
    expect(events).to.deep.equal(['probe 400']);
    clock.tick(10_000);
    expect(events).to.deep.equal(['probe 400', 'probe 1400', 'dead 2400']);
  });

  it('asks at once only when nothing is being waited for', () => {
    const { keepalive, events } = create();
    clock.tick(1);
    keepalive.probeNow();
    keepalive.probeNow();
    clock.tick(500);
    keepalive.probeNow();
    expect(events).to.deep.equal(['probe 1']);
    keepalive.heard();
    clock.tick(1);
    keepalive.probeNow();
    expect(events).to.deep.equal(['probe 1', 'probe 502']);
  });

  it('cannot be kept from dying by asking again and again', () => {
    const { keepalive, events } = create();
    clock.tick(100);
    for (let times = 0; times < 100; times += 1) {
      keepalive.probeNow();
      clock.tick(100);
    }
    expect(events).to.deep.equal(['probe 100', 'probe 1100', 'dead 2100']);
  });

  it('does nothing more when it is stopped, and leaves no timer', () => {
    const { keepalive, events } = create();
    clock.tick(1000);
    keepalive.stop();
    expect(clock.countTimers()).to.equal(0);
    clock.tick(10_000);
    expect(events).to.deep.equal(['probe 1000']);
  });

  it('leaves no timer when it has declared death', () => {
    create();
    clock.tick(3000);
    expect(clock.countTimers()).to.equal(0);
  });
});
