import { figures } from './report.js';
import type { Result } from './results.js';

const MAX_COLUMNS = 160;
const GAP = '  ';

/** A column of text: its head, then a cell for each result. */
type Column = readonly string[];

/**
 * The whole run at a glance: a row for each metric, a column for each contender, goals beside ours. Where it would be too wide, further
 * contenders stand in a table below.
 */
export function summaryOf(results: readonly Result[]): string[] {
  return [...groupByOurs(results)].flatMap(([ours, group]) => tablesOf(ours, group));
}

function groupByOurs(results: readonly Result[]): Map<string, Result[]> {
  const groups = new Map<string, Result[]>();
  for (const result of results) groups.set(result.ours, [...(groups.get(result.ours) ?? []), result]);
  return groups;
}

function tablesOf(ours: string, results: readonly Result[]): string[] {
  const names = [...new Set(results.flatMap(({ rows }) => rows.map(({ contender }) => contender)))];
  const fixed = [
    aligned(['', ...results.map(({ figure, metric, unit }) => `${figure} ${metric}, ${unit}`)], 'left'),
    aligned([ours, ...results.map((result) => ownCell(result))], 'left'),
    aligned(['goals', ...results.map(goalCell)], 'left'),
  ];
  const others = names.filter((name) => name !== ours).map((name) => columnOf(name, results));
  const lines = chunksOf(others, MAX_COLUMNS - widthOf(fixed)).flatMap((columns) => [
    '',
    ...rowsOf([...fixed, ...columns]),
  ]);
  return [
    '',
    `At a glance: medians; ${ours} with least–most; beside the others "× n": ${ours} is n times theirs`,
    ...lines,
  ];
}

function ownCell({ rows, ours }: Result): string {
  const own = rows.find(({ contender }) => contender === ours);
  return own === undefined ? '–' : `${figures(own.median)} (${figures(own.min)}–${figures(own.max)})`;
}

function goalCell({ goals }: Result): string {
  const missed = goals.filter(({ met }) => met === false).length;
  const known = goals.filter(({ met }) => met !== undefined).length;
  if (known === 0) return '–';
  if (missed === 0) return 'met';
  return known === 1 ? 'NOT met' : `${missed} of ${known} NOT met`;
}

function columnOf(name: string, results: readonly Result[]): Column {
  const cells = results.map(({ rows }) => rows.find(({ contender }) => contender === name));
  const values = aligned(
    cells.map((row) => (row === undefined ? '–' : figures(row.median))),
    'right',
  );
  const ratios = aligned(
    cells.map((row) => (row?.oursRelative === undefined ? '' : `× ${figures(row.oursRelative)}`)),
    'left',
  );
  return aligned([name, ...values.map((value, index) => `${value} ${ratios[index] ?? ''}`)], 'left');
}

function aligned(cells: readonly string[], side: 'left' | 'right'): string[] {
  const width = Math.max(...cells.map(({ length }) => length));
  return cells.map((cell) => (side === 'left' ? cell.padEnd(width) : cell.padStart(width)));
}

const widthOf = (columns: readonly Column[]): number =>
  columns.reduce((sum, [head = '']) => sum + head.length + GAP.length, 0);

/** Columns that fit beside each other; at least one in each chunk, and one chunk at least. */
function chunksOf(columns: readonly Column[], width: number): Column[][] {
  const chunks: Column[][] = [[]];
  for (const column of columns) {
    const last = chunks.at(-1) ?? [];
    if (last.length > 0 && widthOf([...last, column]) > width) chunks.push([column]);
    else last.push(column);
  }
  return chunks;
}

const rowsOf = (columns: readonly Column[]): string[] =>
  (columns[0] ?? []).map((_, row) =>
    columns
      .map((column) => column[row] ?? '')
      .join(GAP)
      .trimEnd(),
  );
