import { environmentHelp, LOGIN_HELP, LOGIN_OPTIONS } from '../access-options.js';
import { bastionsFrom } from '../bastions.js';
import { UsageError, type CommandLine } from '../command-line.js';
import type { NodeList } from '../node-list.js';

export const HELP = `Usage: fleet-health [options] NODES
       fleet-health [options] --kubeconfig FILE

Examines every node that NODES lists, a YAML or JSON file, or that a cluster has: can its sshd be
reached, is its host key the one on record, does it let us in, may we forward, does its kubelet
answer? Prints a table, and a hint for each node with a trouble.

  NODES                      a list of nodes, or an object with such a list as "nodes":
                               nodes:
                                 - name: node-1
                                   address: 10.0.0.11
                                   selfAddress: 127.0.0.1   # where its kubelet listens
                                   via: bastion-1           # if it is behind a jump host
                                 - name: bastion-1
                                   address: 192.0.2.10
                                   bastion: true            # it has no kubelet
  --kubeconfig FILE          ask a cluster's API server in place of NODES
  --context NAME             of the kubeconfig (default: its current one)
  --bastion NAME=[USER@]ADDRESS[:PORT]
                             before the cluster's nodes; again for one behind it

Logging in
${LOGIN_HELP}                             A node may have a hostKey of its own in NODES.

The kubelets
  --path PATH                what is asked for (default: /healthz)
  --ca FILE                  authority that signed their certificates
  --cert FILE                your certificate, with ...
  --client-key FILE          ... its key
  --insecure-skip-tls-verify do not ask who answers

  --concurrency N            nodes examined at once (default: 16)
  --timeout SECONDS          for each step (default: 10)
  --json                     print what was found as JSON
  -h, --help                 print this

${environmentHelp('FLEET_HEALTH')}
Exit codes: 0 all is well; 1 a node has a trouble, or cannot be used at all; 2 wrong usage; 130
ended by Ctrl-C.
`;

/** The command line, understood. Files are named, not read. */
export interface Options {
  /** Where the nodes are listed. */
  readonly nodes: NodeList;
  readonly path: string;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly clientKey: string | undefined;
  readonly insecureSkipTlsVerify: boolean;
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly json: boolean;
}

export const OPTIONS = {
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  bastion: { type: 'string', multiple: true },
  ...LOGIN_OPTIONS,
  path: { type: 'string' },
  ca: { type: 'string' },
  cert: { type: 'string' },
  'client-key': { type: 'string' },
  'insecure-skip-tls-verify': { type: 'boolean' },
  concurrency: { type: 'string' },
  timeout: { type: 'string' },
  json: { type: 'boolean' },
} as const;

/** @throws UsageError */
export function optionsFrom(line: CommandLine<typeof OPTIONS>): Options {
  const [kubeconfig, context] = [line.text('kubeconfig'), line.text('context')];
  const [file, ...rest] = line.words;
  const bastions = bastionsFrom(line);
  const nodes = kubeconfig === undefined ? file && { file } : { kubeconfig, context, bastions };
  if (!nodes || rest.length > 0 || (kubeconfig !== undefined && file !== undefined))
    throw new UsageError(`one file of nodes is needed, or --kubeconfig, got ${line.words.length} names`);
  if (context !== undefined && kubeconfig === undefined)
    throw new UsageError('--context belongs to --kubeconfig');
  if (bastions.length > 0 && kubeconfig === undefined)
    throw new UsageError('--bastion belongs to --kubeconfig; in NODES it is a node with bastion: true');
  const [cert, clientKey] = [line.text('cert'), line.text('client-key')];
  if ((cert === undefined) !== (clientKey === undefined))
    throw new UsageError('--cert and --client-key belong together');
  const path = line.text('path') ?? '/healthz';
  if (!/^\/[!-~]*$/.test(path)) throw new UsageError('--path must begin with /');
  return {
    nodes,
    path,
    ca: line.text('ca'),
    cert,
    clientKey,
    insecureSkipTlsVerify: line.flag('insecure-skip-tls-verify'),
    concurrency: line.integer('concurrency', 16, 1, 1000),
    timeoutMs: line.integer('timeout', 10, 1, 3600) * 1000,
    json: line.flag('json'),
  };
}
