import type { ContainerName, LogOptions } from 'tunnel-dialer/kubelet';
import { environmentHelp, KUBELET_HELP, KUBELET_OPTIONS, NODE_HELP, NODE_OPTIONS } from './access-options.js';
import { integer, UsageError, type CommandLine } from './command-line.js';

export const HELP = `Usage: kubelet-logs --node ADDRESS [options] POD CONTAINER
       kubelet-logs --demo

Prints a container's log as its kubelet tells it, through SSH to the node. Needs neither the
API server nor anything on the node but sshd.

  --demo                     a node and a kubelet are started in this process, and their log is
                             printed and followed; then some things go wrong

The node
${NODE_HELP}
Its kubelet
${KUBELET_HELP}
The log
  -n, --namespace NAME       (default: default)
  -f, --follow               keep printing what is added, until Ctrl-C
      --tail LINES           only the last lines
      --since TIME           only what is newer: 90s, 10m, 2h, 1d, 2026-01-31T12:00:00Z
  -t, --timestamps           put the time before each line
  -p, --previous             the log of the container's run before this one

  -v, --verbose              tell on stderr what happens
  -h, --help                 print this

${environmentHelp('KUBELET_LOGS')}
Examples
  Follow a log with your ssh-agent and the certificates that kubeadm gave the API server:

    kubelet-logs --node 10.0.0.11 --user tunnel -f --tail 20 -n shop \\
      --ca /etc/kubernetes/pki/ca.crt \\
      --cert /etc/kubernetes/pki/apiserver-kubelet-client.crt \\
      --client-key /etc/kubernetes/pki/apiserver-kubelet-client.key \\
      cart-7d4b9c cart

  What did the container say before it crashed? With a key file and a service account's token,
  for a kubelet whose certificate it signed itself:

    kubelet-logs --node node-1.example.net:2222 --user tunnel --key ~/.ssh/id_tunnel -p \\
      --self-address 127.0.0.1 --ca kubelet.crt --tls-server-name node-1 \\
      --token-file token cart-7d4b9c cart

Exit codes: 0 printed; 1 failed, and stderr says why; 2 wrong usage; 130 ended by Ctrl-C.
`;

export const OPTIONS = {
  ...NODE_OPTIONS,
  ...KUBELET_OPTIONS,
  demo: { type: 'boolean' },
  namespace: { type: 'string', short: 'n' },
  follow: { type: 'boolean', short: 'f' },
  tail: { type: 'string' },
  since: { type: 'string' },
  timestamps: { type: 'boolean', short: 't' },
  previous: { type: 'boolean', short: 'p' },
  verbose: { type: 'boolean', short: 'v' },
} as const;

/** What of a log is wanted. */
export type WantedLog = Omit<LogOptions, keyof ContainerName | 'signal'>;

/** @throws UsageError */
export function containerFrom(line: CommandLine<typeof OPTIONS>): ContainerName {
  const [pod, container, ...rest] = line.words;
  if (pod === undefined || container === undefined || rest.length > 0) {
    throw new UsageError(
      `the pod and the container are needed, and nothing else; got ${line.words.length} names`,
    );
  }
  return {
    namespace: line.text('namespace') ?? 'default',
    pod,
    container,
  };
}

/**
 * What of the log is wanted; whether there is such a time or name, the library judges.
 *
 * @throws UsageError
 */
export function logOptionsFrom(line: CommandLine<typeof OPTIONS>): WantedLog {
  return {
    follow: line.flag('follow'),
    timestamps: line.flag('timestamps'),
    previous: line.flag('previous'),
    ...tail(line.text('tail')),
    ...since(line.text('since')),
  };
}

function tail(text: string | undefined): WantedLog {
  return text === undefined || text === 'all'
    ? {}
    : { tailLines: integer('--tail', text, 0, Number.MAX_SAFE_INTEGER) };
}

const SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 };

function since(text: string | undefined): WantedLog {
  if (text === undefined) return {};
  if (/^\d{4}-/.test(text)) return { sinceTime: text };
  const [, amount, unit = ''] = /^(\d+)([smhd])$/.exec(text) ?? [];
  if (amount !== undefined) return { sinceSeconds: Number(amount) * (SECONDS[unit] ?? NaN) };
  throw new UsageError(
    `--since must be like 90s, 10m, 2h, 1d or 2026-01-31T12:00:00Z, got ${JSON.stringify(text)}`,
  );
}
