import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ContainerName } from 'tunnel-dialer/kubelet';
import { createDialer, openOnlyKubelet, type Access } from './access.js';
import type { WantedLog } from './arguments.js';
import { reportingDialer, type Report } from './reporting.js';

/** Where a log comes from, and how much of it is wanted. */
export interface LogSource {
  readonly access: Access;
  readonly container: ContainerName;
  readonly log: WantedLog;
}

export interface ReadOptions {
  readonly output: Writable;
  readonly signal: AbortSignal;
  readonly report: Report;
}

/** Writes a container's log to `output`, byte for byte, and resolves at its end. */
export async function readContainerLog(
  { access, container, log: wanted }: LogSource,
  { output, signal, report }: ReadOptions,
): Promise<void> {
  await using dialer = createDialer(access, report);
  await using kubelet = openOnlyKubelet(reportingDialer(dialer, report), access);
  report(`connecting to ${kubelet.node} as ${access.ssh.username}`);
  const log = await kubelet.logs({ ...container, ...wanted, signal });
  const isVerified = access.kubelet.insecureSkipTLSVerify !== true;
  report(`the kubelet's certificate is ${isVerified ? 'verified' : 'NOT VERIFIED'}`);
  report('the kubelet answers 200');
  await pipeline(log, output, { end: false });
}
