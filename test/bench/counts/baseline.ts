/** One thing that was counted. */
export interface Count {
  /** Such as `dial: socket writes`. */
  readonly name: string;
  readonly value: number;
  /** Whether it depends on the version of Node. */
  readonly perNode: boolean;
  /** Share of the baseline by which it may differ. Default: 0. */
  readonly share?: number;
  /** By how much it may differ beside that. Default: 0. */
  readonly slack?: number;
}

/** What counts were when they were last committed, by what they hold for and then by name. */
export type Baseline = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** What holds for each version of Node. */
const EVERY_NODE = 'every Node';

export type Verdict = 'same' | 'rose' | 'fell' | 'new';

export interface Judged extends Count {
  readonly verdict: Verdict;
  readonly baseline: number | undefined;
  /** How far it may rise. */
  readonly allowed: number | undefined;
}

/** @param node - major version of Node, such as `20` */
export function judge(counts: readonly Count[], baseline: Baseline, node: string): Judged[] {
  return counts.map((count) => {
    const before = baseline[placeOf(count, node)]?.[count.name];
    if (before === undefined) return { ...count, verdict: 'new', baseline: undefined, allowed: undefined };
    const margin = Math.abs(before) * (count.share ?? 0) + (count.slack ?? 0);
    const difference = count.value - before;
    const verdict = Math.abs(difference) <= margin ? 'same' : difference > 0 ? 'rose' : 'fell';
    return { ...count, verdict, baseline: before, allowed: before + margin };
  });
}

/** The baseline with these counts in it; what it has of other versions of Node stays. */
export function updated(baseline: Baseline, counts: readonly Count[], node: string): Baseline {
  const next: Record<string, Record<string, number>> = { ...baseline, [EVERY_NODE]: {}, [nodeKey(node)]: {} };
  for (const count of counts) {
    const place = next[placeOf(count, node)];
    if (place !== undefined) place[count.name] = count.value;
  }
  return next;
}

const nodeKey = (node: string): string => `Node ${node}`;
const placeOf = ({ perNode }: Count, node: string): string => (perNode ? nodeKey(node) : EVERY_NODE);

/** What was counted, a line each, and what to do about it. */
export function verdictOf(judged: readonly Judged[]): string[] {
  const width = Math.max(...judged.map(({ name }) => name.length));
  const lines = judged.map((count) =>
    `${count.name.padEnd(width)}  ${String(count.value).padStart(9)}  ${noteOf(count)}`.trimEnd(),
  );
  const names = (verdict: Verdict): Judged[] => judged.filter((count) => count.verdict === verdict);
  const rose = names('rose');
  const advice =
    rose.length > 0
      ? [
          '',
          ...rose.map((count) => `ROSE: ${count.name}, ${noteOf(count)}`),
          'Every dial of every user pays this. If it buys something, say in the commit what, and set the new baseline:',
          '  npm run bench:counts -- --update',
        ]
      : [];
  const fell = names('fell').length + names('new').length;
  const hint =
    rose.length === 0 && fell > 0
      ? ['', `${fell} fell or are new: keep what was won with npm run bench:counts -- --update`]
      : [];
  return [...lines, ...advice, ...hint];
}

function noteOf({ verdict, value, baseline, allowed }: Judged): string {
  if (baseline === undefined || allowed === undefined) return 'new: there is no baseline for it';
  if (verdict === 'same') return '';
  const percent = baseline === 0 ? '' : `, ${(((value - baseline) / Math.abs(baseline)) * 100).toFixed(1)} %`;
  const change = `${verdict} from ${baseline} to ${value}${percent}`;
  return allowed === baseline ? change : `${change}; up to ${Math.round(allowed)} is taken as the same`;
}
