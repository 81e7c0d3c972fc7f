import { figures } from '../report.js';
import type { Curve, Reading, Section } from './section.js';

const COLUMNS = 60;
const LEVELS = ' ▁▂▃▄▅▆▇█';

/** What was measured, as text. */
export function fleetReportOf(sections: readonly Section[]): string {
  return sections.flatMap(blockOf).join('\n');
}

function blockOf({ title, readings, curves }: Section): string[] {
  const width = Math.max(...[...readings, ...curves].map(({ name }) => name.length));
  return [
    '',
    title,
    ...readings.map((reading) => `  ${reading.name.padEnd(width)}  ${cellsOf(reading)}`.trimEnd()),
    ...curves.map((curve) => `  ${curve.name.padEnd(width)}  ${drawn(curve)}`),
  ];
}

function cellsOf({ value, unit, goal }: Reading): string {
  const measured = `${(Number.isInteger(value) ? `${value}` : figures(value)).padStart(8)} ${unit}`;
  if (goal === undefined) return measured;
  return `${measured.padEnd(21)} goal ≤ ${goal.atMost}: ${goal.met ? 'met' : 'NOT met'}`;
}

/** One character for some samples, for the greatest of them; what is not nothing shows. */
function drawn({ sampleMs, values, full }: Curve): string {
  const perColumn = Math.ceil(values.length / COLUMNS);
  const columns = Array.from({ length: Math.ceil(values.length / perColumn) }, (_, index) => {
    const greatest = Math.max(...values.slice(index * perColumn, (index + 1) * perColumn));
    return LEVELS.at(Math.min(LEVELS.length - 1, Math.ceil((greatest / full) * (LEVELS.length - 1))));
  });
  return `|${columns.join('')}| ${full} high, ${(perColumn * sampleMs) / 1000} s each`;
}
