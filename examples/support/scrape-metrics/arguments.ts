import {
  environmentHelp,
  KUBELET_LOGIN_HELP,
  KUBELET_LOGIN_OPTIONS,
  LOGIN_HELP,
  LOGIN_OPTIONS,
} from '../access-options.js';
import { UsageError, type CommandLine } from '../command-line.js';
import type { NodeList } from '../node-list.js';

export const HELP = `Usage: scrape-metrics --nodes FILE [options]
       scrape-metrics --kubeconfig FILE [options]
       scrape-metrics --demo [--path PATH]

Reads the metrics of the kubelets of all nodes at once, through SSH, or asks each whether it is
well. Prints a table, and for each node that failed what to do.

  --nodes FILE               the nodes, in YAML or JSON, as for fleet-health
  --kubeconfig FILE          ask a cluster's API server for its nodes
  --context NAME             of the kubeconfig (default: its current one)
  --demo                     five nodes are started in this process, of which one refuses

Logging in
${LOGIN_HELP}\
                             A node may have a hostKey of its own in FILE.

The kubelets
  --path PATH                /metrics (the default), /metrics/cadvisor, /metrics/resource,
                             /metrics/probes, or /healthz
  --ca FILE                  authority that signed their certificates
${KUBELET_LOGIN_HELP}\
  --insecure-skip-tls-verify do not ask who answers. Never with a token that matters.

  --concurrency N            nodes asked at once (default: 16)
  --timeout SECONDS          for each node (default: 10)
  --save FOLDER              put what each kubelet answers into FOLDER/NODE.txt
  --json                     print the table as JSON
  -h, --help                 print this

${environmentHelp('SCRAPE_METRICS')}
Example
    scrape-metrics --nodes nodes.yaml --user tunnel --ca ca.crt --token-file token --save metrics

Exit codes: 0 every kubelet has answered; 1 one has not; 2 wrong usage; 130 ended by Ctrl-C.
With --demo 0 if just the one node has refused.
`;

export const OPTIONS = {
  ...LOGIN_OPTIONS,
  ...KUBELET_LOGIN_OPTIONS,
  nodes: { type: 'string' },
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  demo: { type: 'boolean' },
  path: { type: 'string' },
  concurrency: { type: 'string' },
  timeout: { type: 'string' },
  save: { type: 'string' },
  json: { type: 'boolean' },
} as const;

/** The command line, understood. */
export interface Options {
  readonly nodes: NodeList | 'demo';
  readonly path: string;
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly save: string | undefined;
  readonly json: boolean;
}

/** @throws UsageError */
export function optionsFrom(line: CommandLine<typeof OPTIONS>): Options {
  if (line.words.length > 0) throw new UsageError('only options are needed, no names');
  const path = line.text('path') ?? '/metrics';
  if (!/^\/(healthz|metrics(\/[\w-]+)*)$/.test(path))
    throw new UsageError(
      `--path must be /healthz, /metrics or a path below that, got ${JSON.stringify(path)}`,
    );
  return {
    nodes: line.flag('demo') ? 'demo' : nodeListFrom(line),
    path,
    concurrency: line.integer('concurrency', 16, 1, 1000),
    timeoutMs: line.integer('timeout', 10, 1, 3600) * 1000,
    save: line.text('save'),
    json: line.flag('json'),
  };
}

function nodeListFrom(line: CommandLine<typeof OPTIONS>): NodeList {
  const [file, kubeconfig, context] = [line.text('nodes'), line.text('kubeconfig'), line.text('context')];
  if ((file === undefined) === (kubeconfig === undefined))
    throw new UsageError('one of --nodes and --kubeconfig is needed');
  if (kubeconfig !== undefined) return { kubeconfig, context };
  if (context !== undefined) throw new UsageError('--context belongs to --kubeconfig');
  return { file: file ?? '' };
}
