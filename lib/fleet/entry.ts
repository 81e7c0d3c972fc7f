import type { NodePool } from '../pool/node-pool.js';
import type { JumpHost } from '../ssh/jump-host.js';
import type { KeyInstallStatus } from './install-key.js';
import type { NodeState, NodeStatus } from './node-status.js';
import type { Node } from './node.js';
import type { Probed, ProbeStatus } from './prober.js';

/** A node with its pool, and how it fares. */
export interface Entry {
  node: Node;
  readonly pool: NodePool;
  /** What carries its connections. */
  readonly via: Entry | undefined;
  /** Those whose connections it carries. */
  readonly carried: Set<Entry>;
  /** The entry as they see it. */
  readonly jumpHost: JumpHost;
  /** Resolves when nothing is left of it; once it is being ended. */
  over: Promise<void> | undefined;
  state: NodeState;
  since: Date;
  probe: ProbeStatus | undefined;
  /** The entry as the prober sees it, if there is one. */
  probed: Probed | undefined;
}

/** Ends entries that are not being ended already, each after those whose connections it carries. */
export async function endEntries(
  entries: Iterable<Entry>,
  end: (entry: Entry) => Promise<void>,
): Promise<void> {
  // So that what an entry carries is being ended when its own turn comes.
  const outermostFirst = [...entries].sort((a, b) => b.jumpHost.hops - a.jumpHost.hops);
  await Promise.all(outermostFirst.map((entry) => (entry.over ??= endAfterCarried(entry, end))));
}

async function endAfterCarried(entry: Entry, end: (entry: Entry) => Promise<void>): Promise<void> {
  const { carried, via } = entry;
  for (const { over } of carried) await over;
  await end(entry);
  via?.carried.delete(entry);
}

export const isUp = (state: NodeState): boolean => state === 'ready' || state === 'degraded';

/** A node whose tunnel is up but whose probe fails is degraded. */
export function stateOf({ pool, probe }: Entry): NodeState {
  const { state } = pool.snapshot();
  return state === 'ready' && probe?.ok === false ? 'degraded' : state;
}

export function statusOf(entry: Entry, keyInstall: KeyInstallStatus | undefined): NodeStatus {
  const { node, pool, since, probe } = entry;
  const { failure, retryInMs, roundTripMs, connections, channels, counts } = pool.snapshot();
  const state = stateOf(entry);
  const cause = failure ?? (state === 'degraded' ? probe?.cause : undefined);
  return {
    name: node.name,
    address: node.address,
    port: node.port,
    state,
    since,
    ...(cause !== undefined && { cause: { code: cause.code, message: cause.message } }),
    ...(failure !== undefined && { retryAt: new Date(Date.now() + retryInMs) }),
    ...(probe !== undefined && { probe }),
    ...(keyInstall !== undefined && { keyInstall }),
    ...(node.via !== undefined && { via: node.via }),
    ...(node.bastion && { bastion: true }),
    ...(node.clusterReady !== undefined && { clusterReady: node.clusterReady }),
    ...(roundTripMs !== undefined && { roundTripMs }),
    connections,
    channels,
    counts,
    dials: pool.dialCounts,
    bytes: pool.bytes,
  };
}
