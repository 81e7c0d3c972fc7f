import { expect } from 'chai';
import { judge, updated, verdictOf, type Baseline, type Count } from './baseline.js';

const baseline: Baseline = {
  'every Node': { 'dial: socket writes': 3, 'upload: socket writes': 17 },
  'Node 20': { 'dial: heap bytes': 50_000, 'dial: heap bytes kept': -2 },
  'Node 22': { 'dial: heap bytes': 40_000 },
};

const writes = (value: number): Count => ({ name: 'dial: socket writes', value, perNode: false });
const heap = (value: number): Count => ({ name: 'dial: heap bytes', value, perNode: true, share: 0.02 });
const kept = (value: number): Count => ({
  name: 'dial: heap bytes kept',
  value,
  perNode: true,
  slack: 16,
});
const verdictsOf = (...counts: Count[]): string[] =>
  judge(counts, baseline, '20').map(({ verdict }) => verdict);

describe('a count beside its baseline', () => {
  it('rises or falls by one, where there is no margin', () => {
    expect(verdictsOf(writes(3), writes(4), writes(2))).to.deep.equal(['same', 'rose', 'fell']);
  });

  it('may differ by a share of the baseline', () => {
    expect(verdictsOf(heap(51_000), heap(51_001), heap(48_999))).to.deep.equal(['same', 'rose', 'fell']);
  });

  it('may differ by so much when the baseline is next to nothing', () => {
    expect(verdictsOf(kept(14), kept(15))).to.deep.equal(['same', 'rose']);
  });

  it('is that of the same version of Node where it depends on it', () => {
    const verdicts = ['20', '22', '24'].map((node) => judge([heap(50_000)], baseline, node)[0]?.verdict);
    expect(verdicts).to.deep.equal(['same', 'rose', 'new']);
  });

  it('that rose is named with what it was, what it is, and how to set a new baseline', () => {
    const text = verdictOf(judge([writes(4), heap(60_000)], baseline, '20')).join('\n');
    expect(text).to.contain('ROSE: dial: socket writes, rose from 3 to 4, 33.3 %\n');
    expect(text).to.contain(
      'ROSE: dial: heap bytes, rose from 50000 to 60000, 20.0 %; up to 51000 is taken as the same',
    );
    expect(text).to.contain('npm run bench:counts -- --update');
  });

  it('that fell is worth a new baseline, and is no failure', () => {
    const text = verdictOf(judge([writes(2)], baseline, '20')).join('\n');
    expect(text).to.contain('fell from 3 to 2').and.contain('--update').and.not.contain('ROSE');
  });

  it('becomes the baseline without those of other versions of Node being lost', () => {
    const next = updated(baseline, [writes(2), heap(1)], '20');
    expect(next).to.deep.equal({
      'every Node': { 'dial: socket writes': 2 },
      'Node 20': { 'dial: heap bytes': 1 },
      'Node 22': { 'dial: heap bytes': 40_000 },
    });
  });
});
