import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TunnelDialer } from 'tunnel-dialer';
import { KubeletClient } from 'tunnel-dialer/kubelet';
import { reportingDialer, reportingHostKeys, type Report } from './reporting.js';
import type { LogSource } from './source.js';

export interface ReadOptions {
  readonly output: Writable;
  readonly signal: AbortSignal;
  readonly report: Report;
}

/** Writes a container's log to `output`, byte for byte, and resolves at its end. */
export async function readContainerLog(
  source: LogSource,
  { output, signal, report }: ReadOptions,
): Promise<void> {
  const { node, ssh } = source;
  const name = node.host;
  await using dialer = new TunnelDialer({
    nodes: [{ name, address: node.host, port: node.port, selfAddress: source.selfAddress }],
    ssh: { ...ssh, hostKeys: reportingHostKeys(ssh.hostKeys, report) },
    pool: { maxConnections: 1 },
  });
  await using kubelet = new KubeletClient(reportingDialer(dialer, report), { node: name, ...source.kubelet });
  report(`connecting to ${node.host} port ${node.port} as ${ssh.username}`);
  const log = await kubelet.logs({ ...source.container, ...source.log, signal });
  const isVerified = source.kubelet.insecureSkipTLSVerify !== true;
  report(`the kubelet's certificate is ${isVerified ? 'verified' : 'NOT VERIFIED'}`);
  report('the kubelet answers 200');
  await pipeline(log, output, { end: false });
}
