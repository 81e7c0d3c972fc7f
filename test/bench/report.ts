import type { Machine } from './machine.js';
import type { GoalResult, Result, Row } from './results.js';
import { cpuIsKnown, type Usage } from './usage.js';

/** The run as text: the machine, one block per metric, each contender in a row. */
export function reportOf(machine: Machine, rounds: number, results: readonly Result[]): string {
  return [
    ...describe(machine, rounds),
    ...results.flatMap((result, index) => blockOf(result, results[index - 1]?.figure !== result.figure)),
  ].join('\n');
}

function describe(machine: Machine, rounds: number): string[] {
  const { cpu, cores, load, kernel, node, openssh, ssh2, nativeAddon } = machine;
  return [
    `${cpu}, ${cores} cores (load ${load} before the run), ${kernel}, Node ${node}`,
    `${openssh}; ssh2 ${ssh2} ${nativeAddon ? 'with' : 'without'} its native addon`,
    `median of ${rounds} rounds (least–most); "ours is" and "proxy is" compare within each round`,
    cpuIsKnown
      ? 'CPU of the client and its children + of sshd, mean per round in steps of 10 ms; loop: how late the event loop was, p99'
      : 'no CPU times: only Linux tells those of other processes; loop: how late the event loop was, p99',
  ];
}

/** @param isFirst - of its figure; what the figure took is shown there */
function blockOf({ title, metric, unit, ours, rows, goals, usage }: Result, isFirst: boolean): string[] {
  const name = Math.max(...rows.map(({ contender }) => contender.length));
  return [
    '',
    `${title}: ${metric}, ${unit}`,
    ...rows.map((row) =>
      `  ${row.contender.padEnd(name)}  ${cellsOf(row, ours)}${isFirst ? usageOf(row, usage) : ''}`.trimEnd(),
    ),
    ...goals.map((goal) => `  goal ${verdictOf(goal)}`),
  ];
}

function cellsOf({ median, min, max, oursRelative }: Row, ours: string): string {
  const value = figures(median).padStart(8);
  const spread = `(${figures(min)}–${figures(max)})`.padEnd(18);
  return `${value}  ${spread}${oursRelative === undefined ? '' : `  ${ours} is ${figures(oursRelative)} ×`}`.padEnd(
    48,
  );
}

function usageOf({ contender }: Row, usage: readonly Usage[] = []): string {
  const used = usage.find((candidate) => candidate.contender === contender);
  if (used === undefined) return '';
  const { clientCpuMs, sshdCpuMs, loopDelayP99Ms } = used;
  const loop = `loop ${figures(loopDelayP99Ms)} ms`;
  if (clientCpuMs === undefined || sshdCpuMs === undefined) return `  ${loop}`;
  return `  CPU ${clientCpuMs.toFixed(0)} + ${sshdCpuMs.toFixed(0)} ms, ${loop}`;
}

function verdictOf({ goal, reached, met }: GoalResult): string {
  if (reached === undefined) return `${goal}: not measured`;
  return `${goal}: ${met === true ? 'met' : 'NOT met'} (${figures(reached)})`;
}

/** Three digits that matter. */
export function figures(value: number): string {
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(value >= 1 ? 2 : 3);
}
