import { userInfo } from 'node:os';
import { parseArgs } from 'node:util';
import type { NodeSpec } from 'tunnel-dialer';
import { UsageError } from '../arguments.js';

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
  --bastion NAME=ADDRESS[:PORT]
                             before the cluster's nodes; again for one behind it

Logging in
  --user NAME                who logs in (default: you)
  --key FILE                 private key (default: your ssh-agent, SSH_AUTH_SOCK)
  --known-hosts FILE         host keys that you trust (default: ~/.ssh/known_hosts); a node may
                             have a hostKey of its own in NODES

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

The passphrase of a key comes from FLEET_HEALTH_PASSPHRASE.

Exit codes: 0 all is well; 1 a node has a trouble, or cannot be used at all; 2 wrong usage; 130 ended by Ctrl-C.
`;

/** The command line, understood. Files are named, not read. */
export interface Options {
  /** Where the nodes are listed. */
  readonly nodes:
    | { readonly file: string }
    | {
        readonly kubeconfig: string;
        readonly context: string | undefined;
        readonly bastions: readonly NodeSpec[];
      };
  readonly user: string;
  readonly key: string | undefined;
  readonly knownHosts: string | undefined;
  readonly path: string;
  readonly ca: string | undefined;
  readonly cert: string | undefined;
  readonly clientKey: string | undefined;
  readonly insecureSkipTlsVerify: boolean;
  readonly concurrency: number;
  readonly timeoutMs: number;
  readonly json: boolean;
}

const OPTIONS = {
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  bastion: { type: 'string', multiple: true, default: [] as string[] },
  user: { type: 'string' },
  key: { type: 'string' },
  'known-hosts': { type: 'string' },
  path: { type: 'string', default: '/healthz' },
  ca: { type: 'string' },
  cert: { type: 'string' },
  'client-key': { type: 'string' },
  'insecure-skip-tls-verify': { type: 'boolean', default: false },
  concurrency: { type: 'string', default: '16' },
  timeout: { type: 'string', default: '10' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

/** @throws UsageError */
export function parseArguments(argv: readonly string[]): Options | 'help' {
  const { values, positionals } = parse(argv);
  if (values.help) return 'help';
  const empty = Object.entries(values).find(([, value]) => value === '');
  if (empty !== undefined) throw new UsageError(`--${empty[0]} is empty`);
  const { kubeconfig, context } = values;
  const [file, ...rest] = positionals;
  const bastions = values.bastion.map(bastionOf);
  const nodes = kubeconfig === undefined ? file && { file } : { kubeconfig, context, bastions };
  if (!nodes || rest.length > 0 || (kubeconfig !== undefined && file !== undefined))
    throw new UsageError(`one file of nodes is needed, or --kubeconfig, got ${positionals.length} names`);
  if (context !== undefined && kubeconfig === undefined)
    throw new UsageError('--context belongs to --kubeconfig');
  if (bastions.length > 0 && kubeconfig === undefined)
    throw new UsageError('--bastion belongs to --kubeconfig; in NODES it is a node with bastion: true');
  if ((values.cert === undefined) !== (values['client-key'] === undefined))
    throw new UsageError('--cert and --client-key belong together');
  if (!/^\/[!-~]*$/.test(values.path)) throw new UsageError('--path must begin with /');
  return {
    nodes,
    user: values.user ?? userInfo().username,
    key: values.key,
    knownHosts: values['known-hosts'],
    path: values.path,
    ca: values.ca,
    cert: values.cert,
    clientKey: values['client-key'],
    insecureSkipTlsVerify: values['insecure-skip-tls-verify'],
    concurrency: integer('concurrency', values.concurrency, 1000),
    timeoutMs: integer('timeout', values.timeout, 3600) * 1000,
    json: values.json,
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    // Node's advice on how to escape a dash does not help here.
    throw new UsageError((error as Error).message.replace(/[.;]? To specify .*$/s, ''));
  }
}

function bastionOf(text: string): NodeSpec {
  const [, name, bracketed, plain, port = '22'] = /^([^=]+)=(?:\[(.+)\]|([^:]+))(?::(.*))?$/.exec(text) ?? [];
  const address = bracketed ?? plain;
  if (name === undefined || address === undefined)
    throw new UsageError(`--bastion must be NAME=ADDRESS or NAME=ADDRESS:PORT, got ${JSON.stringify(text)}`);
  return { name, address, port: integer('bastion', port, 65535) };
}

function integer(option: string, text: string, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= max) return value;
  throw new UsageError(`--${option} must be a whole number from 1 to ${max}, got ${JSON.stringify(text)}`);
}
