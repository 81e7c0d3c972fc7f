import { expect } from 'chai';
import sinon, { type SinonFakeTimers } from 'sinon';
import { AuthenticationError, HostKeyError, TransportError } from '../../lib/errors.js';
import { Reconnect } from '../../lib/pool/reconnect.js';

const refused = new TransportError('ERR_TUNNEL_LOST', 'refused');
const lost = new TransportError('ERR_TUNNEL_LOST', 'lost');

describe('Reconnect', () => {
  let clock: SinonFakeTimers;

  beforeEach(() => {
    clock = sinon.useFakeTimers({ toFake: ['performance'] });
    clock.tick(1);
  });

  afterEach(() => {
    clock.restore();
  });

  /** From 250 ms to 30 s; every wait is as long as it can be unless `random` says otherwise. */
  const create = (random: () => number = () => 1) =>
    new Reconnect({ minMs: 250, maxMs: 30_000, stableMs: 10_000, random });

  /** A connection that lives for a time, is lost, and is replaced. */
  function live(reconnect: Reconnect, ageMs: number): void {
    clock.tick(1);
    reconnect.connected();
    const readyAtMs = performance.now();
    clock.tick(ageMs);
    reconnect.lost(lost, readyAtMs);
  }

  /** The waits after a row of failures, each of which is waited out. */
  function waits(reconnect: Reconnect, failures: number): number[] {
    return Array.from({ length: failures }, () => {
      reconnect.failed(refused);
      const { waitMs } = reconnect;
      clock.tick(waitMs);
      return waitMs;
    });
  }

  it('waits for nothing at first', () => {
    expect(create()).to.include({ waitMs: 0, dialWaitMs: 0, failure: undefined });
  });

  it('waits longer with every failure, up to a limit', () => {
    expect(waits(create(), 9)).to.deep.equal([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  });

  it('draws each wait from below its ceiling, and never less than the shortest', () => {
    expect(
      waits(
        create(() => 0),
        5,
      ),
    ).to.deep.equal([250, 250, 250, 250, 250]);
    const drawn = waits(create(Math.random), 20);
    expect(new Set(drawn).size).to.be.above(5);
    expect(Math.min(...drawn)).to.be.at.least(250);
    expect(Math.max(...drawn)).to.be.at.most(30_000);
  });

  it('counts down, and knows the failure until a success', () => {
    const reconnect = create();
    reconnect.failed(refused);
    clock.tick(200);
    expect(reconnect.waitMs).to.equal(300);
    expect(reconnect.failure).to.equal(refused);
    clock.tick(5000);
    expect(reconnect.waitMs).to.equal(0);
    expect(reconnect.failure).to.equal(refused);
    reconnect.connected();
    expect(reconnect).to.include({ waitMs: 0, failure: undefined });
  });

  for (const failure of [new AuthenticationError('no', []), new HostKeyError('mismatch', undefined, 'no')]) {
    it(`waits the longest at once after ${failure.name}, and no dial hastens it`, () => {
      const reconnect = create();
      reconnect.failed(failure);
      expect(reconnect.waitMs).to.equal(30_000);
      clock.tick(5000);
      expect(reconnect.dialWaitMs).to.equal(25_000);
      const lowest = create(() => 0);
      lowest.failed(failure);
      expect(lowest.waitMs).to.equal(15_000);
    });
  }

  it('lets a dial try as soon as the last failure is a second old', () => {
    const reconnect = create();
    waits(reconnect, 5);
    reconnect.failed(refused);
    expect(reconnect.waitMs).to.equal(16_000);
    expect(reconnect.dialWaitMs).to.equal(1000);
    clock.tick(999);
    expect(reconnect.dialWaitMs).to.equal(1);
    clock.tick(1);
    expect(reconnect.dialWaitMs).to.equal(0);
    expect(reconnect.waitMs).to.equal(15_000);
  });

  it('never makes a dial wait longer than the next attempt', () => {
    const reconnect = create();
    reconnect.failed(refused);
    expect(reconnect.dialWaitMs).to.equal(500);
  });

  it('replaces a lost connection at once', () => {
    const reconnect = create();
    live(reconnect, 60_000);
    expect(reconnect).to.include({ waitMs: 0, dialWaitMs: 0, failure: undefined });
  });

  it('replaces young ones at once, too, but not without end', () => {
    const reconnect = create();
    for (let times = 0; times < 3; times += 1) {
      live(reconnect, 100);
      expect(reconnect.waitMs).to.equal(0);
    }
    live(reconnect, 100);
    expect(reconnect).to.include({ waitMs: 500, failure: lost });
    clock.tick(500);
    live(reconnect, 100);
    expect(reconnect.waitMs).to.equal(1000);
  });

  it('takes connections that are lost together for one loss', () => {
    const reconnect = create();
    const readyAtMs: number[] = [];
    for (let connections = 0; connections < 8; connections += 1) {
      reconnect.connected();
      readyAtMs.push(performance.now());
      clock.tick(10);
    }
    for (const one of readyAtMs) {
      reconnect.lost(lost, one);
      clock.tick(1);
    }
    expect(reconnect).to.include({ waitMs: 0, failure: undefined });
  });

  it('forgets earlier failures when a connection has lasted', () => {
    const reconnect = create();
    waits(reconnect, 6);
    live(reconnect, 10_000);
    expect(waits(reconnect, 1)).to.deep.equal([500]);
  });

  it('does not forget them when it has not', () => {
    const reconnect = create();
    waits(reconnect, 6);
    live(reconnect, 9999);
    expect(waits(reconnect, 1)).to.deep.equal([30_000]);
  });

  it('forgets them though the connection that lasted is not lost', () => {
    const reconnect = create();
    waits(reconnect, 6);
    reconnect.connected();
    clock.tick(3_600_000);
    expect(waits(reconnect, 1)).to.deep.equal([500]);
  });

  it('counts how long it has lasted from the first of several connections', () => {
    const reconnect = create();
    waits(reconnect, 6);
    reconnect.connected();
    clock.tick(9999);
    reconnect.connected();
    clock.tick(1);
    expect(waits(reconnect, 1)).to.deep.equal([500]);
  });

  it('forgets young losses, too, when a connection has lasted', () => {
    const reconnect = create();
    for (let times = 0; times < 3; times += 1) live(reconnect, 100);
    live(reconnect, 10_000);
    for (let times = 0; times < 2; times += 1) live(reconnect, 100);
    expect(reconnect.waitMs).to.equal(0);
  });

  it('draws by Math.random unless told otherwise', () => {
    const random = sinon.stub(Math, 'random').returns(0.5);
    try {
      const reconnect = new Reconnect({ minMs: 100, maxMs: 30_000, stableMs: 0 });
      reconnect.failed(refused);
      expect(reconnect.waitMs).to.equal(150);
      expect(random.callCount).to.equal(1);
    } finally {
      random.restore();
    }
  });

  it('waits out no failure that has been mended, and starts from the shortest wait again', () => {
    for (const failure of [new AuthenticationError('no', []), new HostKeyError('unknown', undefined, 'no')]) {
      const reconnect = create();
      reconnect.failed(failure);
      reconnect.mended();
      expect(reconnect).to.include({ waitMs: 0, dialWaitMs: 0, failure: undefined });
      expect(waits(reconnect, 2)).to.deep.equal([500, 1000]);
    }
  });

  it('waits out nothing more when it is to try now, and starts from the shortest wait again', () => {
    const reconnect = create();
    waits(reconnect, 3);
    reconnect.retryNow();
    expect(reconnect).to.include({ waitMs: 0, dialWaitMs: 0, failure: undefined });
    expect(waits(reconnect, 2)).to.deep.equal([500, 1000]);
  });

  it('still waits out a failure of another kind', () => {
    const reconnect = create();
    reconnect.failed(refused);
    reconnect.mended();
    expect(reconnect).to.include({ waitMs: 500, failure: refused });
  });
});
