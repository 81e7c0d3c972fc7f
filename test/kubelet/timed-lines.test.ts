import { expect } from 'chai';
import { MAX_HELD_BYTES, TimedLines, type TimedLinesOptions } from '../../lib/kubelet/timed-lines.js';
import { below, seededRandom } from '../support/seeded-random.js';

interface Line {
  readonly at: bigint;
  readonly text: string;
}

const START = 1_767_225_600_000_000_000n; // 2026-01-01

/** As a kubelet writes it. */
function format(at: bigint): string {
  const seconds = new Date(Number(at / 1_000_000_000n) * 1000).toISOString().slice(0, 19);
  return `${seconds}.${String(at % 1_000_000_000n).padStart(9, '0')}Z`;
}

const at = (time: string): bigint =>
  BigInt(Date.parse(`${time.slice(0, 19)}Z`)) * 1_000_000n + BigInt(time.slice(20, 29));

/** What a kubelet sends of a log. */
const told = (lines: readonly Line[], since: string | undefined): Buffer =>
  Buffer.from(
    lines
      .filter((line) => since === undefined || line.at >= at(since))
      .map((line) => `${format(line.at)} ${line.text}\n`)
      .join(''),
  );

const content = (lines: readonly Line[]): string => lines.map(({ text }) => `${text}\n`).join('');

const plain: TimedLinesOptions = { timestamps: false, startsAnywhere: false };

describe('kubelet: lines with times', () => {
  it('are given without their times, or with them', () => {
    const bytes = told([{ at: START, text: 'one two' }], undefined);
    expect(new TimedLines(plain).push(bytes).toString()).to.equal('one two\n');
    expect(new TimedLines({ ...plain, timestamps: true }).push(bytes).toString()).to.equal(
      '2026-01-01T00:00:00.000000000Z one two\n',
    );
  });

  it('are given as a whole, and what is left at the end', () => {
    const lines = new TimedLines(plain);
    expect(lines.push(Buffer.from('2026-01-01T00:00:')).length).to.equal(0);
    expect(lines.push(Buffer.from('00Z fir')).length).to.equal(0);
    expect(lines.push(Buffer.from('st\n2026-01-01T00:00:01+01:00 second')).toString()).to.equal('first\n');
    expect(lines.position).to.deep.equal({ lastTime: '2026-01-01T00:00:00Z', linesAtLastTime: 1 });
    expect(lines.end().toString()).to.equal('second');
  });

  it('that have no time are given as they are', () => {
    const text = 'unable to retrieve container logs\n\n2026-13 no time\n2026-01-01T00:00:00Zno blank\n';
    const lines = new TimedLines(plain);
    expect(lines.push(Buffer.from(text)).toString()).to.equal(text);
    expect(lines.again()).to.equal(undefined);
  });

  it('that begin with what only looks like a time have none, and do not disturb the rest', () => {
    const lines = new TimedLines({ ...plain, startsAnywhere: true });
    const text = '9999-99-99T99:99:99Z b\n2026-01-01T00:00:00+99:99 c\n';
    expect(lines.push(Buffer.from(text)).toString()).to.equal(text);
    lines.push(Buffer.from(`2026-01-01T00:00:00Z a\n2026-01-01T00:00:01Z a\n${text}`));
    expect(lines.again()).to.equal('2026-01-01T00:00:01Z');
  });

  it('may be empty, and hold whatever bytes', () => {
    const bytes = Buffer.concat([
      Buffer.from('2026-01-01T00:00:00Z \n2026-01-01T00:00:01Z '),
      Buffer.from([0xff, 0x00, 0xc3, 0x0d, 0x0a]),
    ]);
    expect(new TimedLines(plain).push(bytes)).to.deep.equal(
      Buffer.from([0x0a, 0xff, 0x00, 0xc3, 0x0d, 0x0a]),
    );
  });

  it('that are long are given piece by piece: no more than a bound is held', () => {
    const lines = new TimedLines(plain);
    const prefix = Buffer.from('2026-01-01T00:00:00Z ');
    let given = lines.push(prefix).length;
    for (let count = 1; count <= 1000; count += 1) {
      given += lines.push(Buffer.alloc(4096, 'x')).length;
      expect(count * 4096 - given).to.be.at.most(MAX_HELD_BYTES);
    }
    expect(given).to.equal(1000 * 4096);
    expect(lines.push(Buffer.from('\n2026-01-01T00:00:01Z next\n')).toString()).to.equal('\nnext\n');
    expect(lines.position).to.include({ lastTime: '2026-01-01T00:00:01Z' });
  });

  it('tell where the log was cut: the time of the last whole line, and how many lines of that time were given', () => {
    const lines = new TimedLines(plain);
    lines.push(
      told(
        [
          { at: START, text: 'a' },
          { at: START + 1n, text: 'b' },
          { at: START + 1n, text: 'c' },
        ],
        undefined,
      ),
    );
    lines.push(Buffer.from(`${format(START + 2n)} half`));
    expect(lines.position).to.deep.equal({ lastTime: format(START + 1n), linesAtLastTime: 2 });
  });

  it('end a line that was cut and does not come again', () => {
    const lines = new TimedLines(plain);
    lines.push(Buffer.from(`${format(START)} ${'x'.repeat(MAX_HELD_BYTES)}`));
    lines.again();
    const out = lines.push(told([{ at: START + 5n, text: 'later' }], undefined)).toString();
    expect(out).to.equal('\nlater\n');
  });

  it('that a tail begins with do not hide those of the same time that follow, once the time has gone on', () => {
    const all = [START, START, START, START + 1n, START + 1n, START + 2n].map((time, index) => ({
      at: time,
      text: String(index),
    }));
    const lines = new TimedLines({ ...plain, startsAnywhere: true });
    let out = lines.push(told(all.slice(2, 4), undefined)).toString();
    out += lines.push(told(all, lines.again())).toString();
    expect(out).to.equal(content(all.slice(2)));
  });

  for (let seed = 1; seed <= 100; seed += 1) {
    it(`are each given once, however often the log is cut (seed ${seed})`, () => {
      const random = seededRandom(seed);
      const timestamps = below(2, random) === 0;
      const longest = below(3, random) === 0 ? 3 * MAX_HELD_BYTES : 200;
      const all: Line[] = [];
      let now = START;
      for (let count = below(60, random) + 1; count > 0; count -= 1) {
        now += BigInt(below(3, random)) * 50n;
        // Standard error may be a little late.
        const late = below(4, random) === 0 ? 60n : 0n;
        all.push({ at: now - late, text: 'abcdefgh'.repeat(below(longest / 8, random)) + String(count) });
      }
      const lines = new TimedLines({ ...plain, timestamps });
      const out: Buffer[] = [];
      let since: string | undefined;
      for (;;) {
        // More is printed meanwhile, and the log is cut anywhere.
        const bytes = told(all, since);
        const end = below(4, random) === 0 ? bytes.length : below(bytes.length + 1, random);
        for (let start = 0; start < end;) {
          const length = Math.min(end - start, 1 + below(40_000, random));
          out.push(Buffer.from(lines.push(bytes.subarray(start, start + length))));
          start += length;
        }
        if (end === bytes.length) break;
        since = lines.again();
      }
      out.push(lines.end());
      const expected = timestamps ? told(all, undefined).toString() : content(all);
      expect(Buffer.concat(out).toString() === expected).to.equal(true);
    });
  }

  it('of a log that never ends are remembered by a bound, and the last ones suffice', () => {
    const lines = new TimedLines(plain);
    const all: Line[] = [];
    let out = '';
    for (let index = 0; index < 20_000; index += 1)
      all.push({ at: START + BigInt(index >> 1), text: String(index) });
    out += lines.push(told(all.slice(0, 15_001), undefined)).toString();
    const since = lines.again();
    expect(told(all.slice(0, 15_001), since).toString().split('\n').length).to.be.within(1000, 5000);
    out += lines.push(told(all, since)).toString();
    expect(out).to.equal(content(all));
  });
});
