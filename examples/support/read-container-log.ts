import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { TLSSocket } from 'node:tls';
import { TunnelDialer } from 'tunnel-dialer';
import { httpsAgent } from 'tunnel-dialer/http';
import type { ContainerName, LogOptions } from './arguments.js';
import { reportingDialer, reportingHostKeys, type Report } from './reporting.js';
import type { LogSource } from './source.js';

/** The kubelet answered, but not with a log. */
export class KubeletError extends Error {
  override readonly name = 'KubeletError';
  readonly status: number;

  constructor(status: number, text: string) {
    super(text);
    this.status = status;
  }
}

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
  const { node, kubelet, ssh } = source;
  const name = node.host;
  await using dialer = new TunnelDialer({
    nodes: [{ name, address: node.host, port: node.port, selfAddress: source.selfAddress }],
    ssh: { ...ssh, hostKeys: reportingHostKeys(ssh.hostKeys, report) },
    pool: { maxConnections: 1 },
  });
  const agent = httpsAgent(reportingDialer(dialer, report), { ...kubelet.tls, keepAlive: false });
  try {
    report(`connecting to ${node.host} port ${node.port} as ${ssh.username}`);
    const response = await get({
      agent,
      host: node.host,
      port: kubelet.port,
      path: logPath(source.container, source.log),
      headers: kubelet.token === undefined ? {} : { authorization: `Bearer ${kubelet.token}` },
      signal,
    });
    const isVerified = response.socket instanceof TLSSocket && response.socket.authorized;
    report(`the kubelet's certificate is ${isVerified ? 'verified' : 'NOT VERIFIED'}`);
    report(`the kubelet answers ${response.statusCode}`);
    if (response.statusCode !== 200)
      throw new KubeletError(response.statusCode ?? 0, await beginningOf(response));
    await pipeline(response, output, { signal, end: false });
  } finally {
    agent.destroy();
  }
}

function get(options: https.RequestOptions): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    https.get(options, resolve).on('error', reject);
  });
}

/**
 * The kubelet's own path and parameters, as the API server asks for them (k8s.io/kubernetes,
 * pkg/registry/core/pod/strategy.go).
 */
export function logPath({ namespace, pod, container }: ContainerName, log: LogOptions): string {
  const path = ['containerLogs', namespace, pod, container].map(encodeURIComponent).join('/');
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(log)) {
    if (value !== undefined && value !== false) query.set(key, String(value));
  }
  query.sort();
  return query.size === 0 ? `/${path}` : `/${path}?${query.toString()}`;
}

/** As much of an error's text as a person reads. */
async function beginningOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += chunk as string;
    if (text.length > 1000) break;
  }
  return text.slice(0, 1000);
}
