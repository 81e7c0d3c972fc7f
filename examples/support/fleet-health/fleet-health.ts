import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import {
  InvalidOptionError,
  TunnelDialer,
  knownHosts,
  nodesFile,
  type NodeListing,
  type NodeSource,
  type NodeSpec,
} from 'tunnel-dialer';
import { kubernetesNodes } from 'tunnel-dialer/kubernetes';
import { UsageError } from '../arguments.js';
import { HELP, parseArguments, type Options } from './arguments.js';
import { examine, notExamined, type Finding } from './examine.js';
import { progressBar, tableOf } from './report.js';

/** What the command uses of the process that it runs in. */
export interface Surroundings {
  readonly output: Writable;
  readonly errors: Writable;
  /** Of the terminal that `errors` is; `undefined` if it is none. */
  readonly width: number | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Ends the command; the reason is the name of the process signal that asked for it. */
  readonly signal: AbortSignal;
}

const SIGNAL_NUMBERS: Record<string, number> = { SIGINT: 2, SIGTERM: 15 };

/** Runs the command and returns its exit code: 0 all well, 1 troubles, 2 wrong usage, 130 interrupted by Ctrl-C. */
export async function fleetHealth(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  const { output, errors, signal } = surroundings;
  try {
    const options = parseArguments(argv);
    if (options === 'help') {
      output.write(HELP);
      return 0;
    }
    const findings = await examineAll(options, surroundings);
    output.write(options.json ? `${JSON.stringify(findings, undefined, 2)}\n` : tableOf(findings));
    return findings.every(({ isWell }) => isWell) ? 0 : 1;
  } catch (error) {
    if (signal.aborted) return 128 + (SIGNAL_NUMBERS[String(signal.reason)] ?? 0);
    if (!(error instanceof UsageError || error instanceof InvalidOptionError)) throw error;
    errors.write(`fleet-health: ${error.message} (--help shows how)\n`);
    return 2;
  }
}

async function examineAll(options: Options, surroundings: Surroundings): Promise<Finding[]> {
  const { errors, width, signal } = surroundings;
  const source = sourceOf(options.nodes);
  const { nodes, leftOut } = await nodesOf(source, signal);
  const unusable = leftOut.map(({ name, reason }) => notExamined(name, reason));
  if (nodes.length === 0 && unusable.length > 0) return unusable;
  if (nodes.length === 0)
    throw new UsageError(`${source.name}: there are no nodes in it that could be examined`);
  await using dialer = createDialer(nodes, options, surroundings.environment);
  const tls = {
    ca: read('ca', options.ca),
    cert: read('cert', options.cert),
    key: read('client-key', options.clientKey),
    rejectUnauthorized: !options.insecureSkipTlsVerify,
  };
  const { path, timeoutMs, concurrency } = options;
  const findings: Finding[] = [];
  const waiting = [...nodes.entries()];
  let done = 0;
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, node] = next;
      findings[index] = await examine(node, { dialer, tls, path, timeoutMs, signal });
      done += 1;
      const troubles = findings.filter(({ isWell }) => !isWell).length;
      if (width !== undefined) errors.write(progressBar(done, nodes.length, troubles, width));
    }
  };
  await Promise.all(Array.from({ length: concurrency }, work));
  if (width !== undefined) errors.write('\n');
  dialer.destroy();
  return [...findings, ...unusable];
}

function sourceOf(nodes: Options['nodes']): NodeSource {
  return 'file' in nodes ? nodesFile(nodes.file) : kubernetesNodes(nodes);
}

/** The first that the source tells. */
async function nodesOf(source: NodeSource, signal: AbortSignal): Promise<NodeListing> {
  for await (const update of source.follow(signal)) {
    if (update instanceof Error) throw new UsageError(update.message);
    return 'nodes' in update ? update : { nodes: update, leftOut: [] };
  }
  throw new UsageError(`${source.name} tells no nodes`);
}

/** One for all nodes; each is connected to when it is examined. */
function createDialer(
  nodes: readonly NodeSpec[],
  { user, key, knownHosts: path, timeoutMs, concurrency }: Options,
  { SSH_AUTH_SOCK: agent, FLEET_HEALTH_PASSPHRASE: passphrase }: Surroundings['environment'],
): TunnelDialer {
  if (key === undefined && !agent)
    throw new UsageError('there is nothing to log in with: give --key FILE, or start ssh-agent');
  const privateKey = read('key', key);
  const needsKnownHosts = path !== undefined || nodes.some(({ hostKey }) => hostKey === undefined);
  return new TunnelDialer({
    nodes,
    ssh: {
      username: user,
      ...(privateKey === undefined ? { agent } : { privateKey, passphrase }),
      ...(needsKnownHosts && { hostKeys: knownHosts(path ?? join(homedir(), '.ssh', 'known_hosts')) }),
    },
    pool: { minConnections: 0, maxConnections: 1 },
    reconnect: { maxHandshakes: concurrency },
    timeouts: { connectMs: timeoutMs },
  });
}

function read(option: string, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code = 'unreadable' } = error as NodeJS.ErrnoException;
    throw new UsageError(`--${option}: cannot read ${path} (${code})`);
  }
}
