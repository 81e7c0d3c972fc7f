import { expect } from 'chai';
import { InvalidOptionError } from '../lib/errors.js';
import { Backoff } from '../lib/backoff.js';
import { seededRandom } from './support/seeded-random.js';

const low = () => 0;
const high = () => 1 - Number.EPSILON;

function delays(first: Backoff, count: number, random: () => number): number[] {
  const found: number[] = [];
  for (let backoff = first; found.length < count; found.push(backoff.delayMs)) backoff = backoff.next(random);
  return found;
}

describe('Backoff', () => {
  it('does not wait before the first failure', () => {
    expect(Backoff.create().delayMs).to.equal(0);
  });

  it('doubles its ceiling with each failure up to the longest wait', () => {
    expect(delays(Backoff.create(), 9, high)).to.deep.equal([
      500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000,
    ]);
  });

  it('never waits less than the shortest wait, however many failures', () => {
    expect(delays(Backoff.create(), 9, low)).to.deep.equal(Array(9).fill(250));
  });

  it('draws evenly between the shortest wait and the ceiling', () => {
    const random = seededRandom(1);
    const late = Array.from({ length: 10 }).reduce<Backoff>((backoff) => backoff.next(low), Backoff.create());
    const drawn = Array.from({ length: 4000 }, () => late.next(random).delayMs);
    const quarters = [0, 0, 0, 0];
    for (const delay of drawn) {
      const quarter = Math.min(3, Math.floor(((delay - 250) / (30_000 - 250)) * 4));
      quarters[quarter] = (quarters[quarter] ?? 0) + 1;
    }
    for (const count of quarters) expect(count).to.be.within(900, 1100);
  });

  it('stays within its bounds, in whole milliseconds, for any bounds and draws', () => {
    const random = seededRandom(2);
    for (let round = 0; round < 200; round += 1) {
      const minMs = 1 + Math.floor(random() * 2000);
      const maxMs = minMs + Math.floor(random() * 100_000);
      let backoff = Backoff.create({ minMs, maxMs });
      for (let failure = 0; failure < 30; failure += 1) {
        backoff = random() < 0.1 ? backoff.slowest(random) : backoff.next(random);
        expect(backoff.delayMs).to.be.within(minMs, maxMs);
        expect(Number.isInteger(backoff.delayMs)).to.equal(true);
      }
    }
  });

  it('survives thousands of failures', () => {
    const found = delays(Backoff.create({ maxMs: 2147483647 }), 10_000, high);
    expect(found.at(-1)).to.equal(2147483647);
    expect(found.every(Number.isSafeInteger)).to.equal(true);
  });

  for (const broken of [NaN, Infinity, -Infinity, -1, 2]) {
    it(`keeps to its bounds when the generator gives ${broken}`, () => {
      for (const backoff of [Backoff.create().next(() => broken), Backoff.create().slowest(() => broken)]) {
        expect(backoff.delayMs).to.be.within(250, 30_000);
      }
    });
  }

  it('is slow rather than quick when the generator gives NaN', () => {
    expect(Backoff.create().next(() => NaN).delayMs).to.equal(500);
  });

  it('waits in the upper half of the longest wait where trying again does not help', () => {
    expect(Backoff.create().slowest(low).delayMs).to.equal(15_000);
    expect(Backoff.create().slowest(high).delayMs).to.equal(30_000);
  });

  it('keeps the slow ceiling for the failures that follow', () => {
    expect(Backoff.create().slowest(low).next(high).delayMs).to.equal(30_000);
  });

  it('keeps to the shortest wait when that lies in the upper half', () => {
    expect(Backoff.create({ minMs: 900, maxMs: 1000 }).slowest(low).delayMs).to.equal(900);
  });

  it('leaves the state it came from as it was', () => {
    const first = Backoff.create();
    const second = first.next(high);
    second.next(high);
    second.slowest(high);
    expect([first.delayMs, second.delayMs]).to.deep.equal([0, 500]);
    expect(second.next(high).delayMs).to.equal(1000);
    expect(first.next(high).delayMs).to.equal(500);
  });

  it('draws with Math.random when nothing else is given', () => {
    expect(Backoff.create().next().delayMs).to.be.within(250, 500);
    expect(Backoff.create().slowest().delayMs).to.be.within(15_000, 30_000);
  });

  it('may have equal bounds, and then waits just so long', () => {
    expect(delays(Backoff.create({ minMs: 7, maxMs: 7 }), 3, seededRandom(3))).to.deep.equal([7, 7, 7]);
  });

  for (const [options, option] of [
    [{ minMs: 0 }, 'reconnect.minMs'],
    [{ minMs: NaN }, 'reconnect.minMs'],
    [{ minMs: 0.5 }, 'reconnect.minMs'],
    [{ minMs: 31_000 }, 'reconnect.maxMs'],
    [{ maxMs: 249 }, 'reconnect.maxMs'],
    [{ maxMs: Infinity }, 'reconnect.maxMs'],
    [{ maxMs: 2147483648 }, 'reconnect.maxMs'],
  ] as const) {
    it(`refuses ${Object.entries(options).join()}`, () => {
      expect(() => Backoff.create(options))
        .to.throw(InvalidOptionError)
        .with.property('option', option);
    });
  }
});
