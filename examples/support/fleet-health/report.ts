import { inColumns } from '../columns.js';
import { STEPS, type Finding, type Step } from './examine.js';

/** What a person reads: a table, and below it what is wrong with whom. */
export function tableOf(findings: readonly Finding[]): string {
  const rows = [
    ['NODE', 'ADDRESS', ...STEPS.map((step) => step.toUpperCase())],
    ...findings.map((finding) => [
      finding.name,
      finding.address === undefined ? '-' : `${finding.address}:${finding.port ?? 22}`,
      ...STEPS.map((step) => cell(finding, step)),
    ]),
  ];
  const troubles = findings.filter(({ isWell }) => !isWell);
  const told = troubles.flatMap(({ name, failed, problem, hint }) => [
    '',
    `${name}: ${failed ?? 'left out'}: ${problem ?? ''}`,
    ...(hint === undefined ? [] : [`  ${hint}`]),
  ]);
  const sum = `${findings.length - troubles.length} of ${findings.length} nodes are well`;
  return [...inColumns(rows), ...told, '', sum, ''].join('\n');
}

function cell({ isWell, failed, ...times }: Finding, step: Step): string {
  if (!isWell && failed === undefined) return '-';
  const reached = isWell || failed === undefined ? STEPS.length : STEPS.indexOf(failed);
  const index = STEPS.indexOf(step);
  if (index > reached) return '-';
  if (index === reached) return 'FAILED';
  if (isWell && step === 'kubelet' && times.kubeletMs === undefined) return '-';
  const ms = { tcp: times.tcpMs, forwarding: times.dialMs, kubelet: times.kubeletMs }[step as string];
  return ms === undefined ? 'ok' : `${ms.toFixed(0)} ms`;
}
