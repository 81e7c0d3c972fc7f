/*
 * Runs the examples' commands as often as it is told to, without a new process each time. A process of its own is
 * needed, because the examples import the package by its name, which leads to lib/ only where they are bundled.
 */
import { Writable } from 'node:stream';
import { apiserverProxyCommand } from '../../examples/support/apiserver-proxy/apiserver-proxy.js';
import { fetchThroughNode } from '../../examples/support/fetch-through-node.js';
import { fleetHealth } from '../../examples/support/fleet-health/fleet-health.js';
import { kubeletExec } from '../../examples/support/kubelet-exec.js';
import { kubeletLogs } from '../../examples/support/kubelet-logs.js';
import { portForward } from '../../examples/support/port-forward.js';
import { scrapeMetrics } from '../../examples/support/scrape-metrics/scrape-metrics.js';
import { socks } from '../../examples/support/socks.js';

const COMMANDS = {
  apiserverProxy: apiserverProxyCommand,
  fetchThroughNode,
  fleetHealth,
  kubeletExec,
  kubeletLogs,
  portForward,
  scrapeMetrics,
  socks,
};

export interface Order {
  readonly command: keyof typeof COMMANDS;
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export interface Outcome {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

function sink(): { readonly stream: Writable; readonly text: () => string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk);
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString() };
}

process.on('message', ({ command, argv, environment }: Order) => {
  const [output, errors] = [sink(), sink()];
  const { signal } = new AbortController();
  const surroundings = { output: output.stream, errors: errors.stream, width: 40, environment, signal };
  void COMMANDS[command](argv, surroundings).then((code) => {
    process.send?.({ code, output: output.text(), errors: errors.text() } satisfies Outcome);
  });
});
