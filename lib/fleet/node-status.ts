import type { KeyInstallStatus } from './install-key.js';
import type { ProbeStatus } from './prober.js';
import type { DialCounts, PoolSnapshot } from '../pool/pool-snapshot.js';
import type { ByteCounts } from '../ssh/byte-counts.js';

/** How a node fares; see {@link NodeStatus.state}. */
export type NodeState = PoolSnapshot['state'];

/** One node at one moment. */
export interface NodeStatus {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Name of the node that carries its connections, if one does. */
  readonly via?: string;
  /** Whether it only carries connections to other nodes. */
  readonly bastion?: boolean;
  /**
   * - `idle`: no connection, because none is wanted (`pool.minConnections` is 0)
   * - `connecting`: the first connection is being made, or a lost one is being replaced
   * - `ready`: connected
   * - `degraded`: connected, but further connections fail, or the last probe did
   * - `down`: not connected, and the last attempt failed
   */
  readonly state: NodeState;
  /** When the state was entered. */
  readonly since: Date;
  /** Why the node is `degraded` or `down`. */
  readonly cause?: { readonly code: string; readonly message: string };
  /** When the next attempt to connect is due. */
  readonly retryAt?: Date;
  /** Whether the cluster takes the node for ready, if its source says so. */
  readonly clusterReady?: boolean;
  /** How long sshd took to answer the last keepalive, in milliseconds. */
  readonly roundTripMs?: number;
  /** What came of the last probe, if the nodes are probed. */
  readonly probe?: ProbeStatus;
  /** How far our key is installed on the node, if `ssh.installKey` does that. */
  readonly keyInstall?: KeyInstallStatus;
  readonly connections: PoolSnapshot['connections'];
  /** Streams that are open, connections to other nodes among them, and dials that wait for one to end. */
  readonly channels: PoolSnapshot['channels'];
  /** Since the node was added or changed: connections that became ready, attempts that failed, connections that were lost. */
  readonly counts: PoolSnapshot['counts'];
  /**
   * Since the node was added or changed: dials whose stream opened through it, and dials that failed at it, whether or not another node carried
   * them then. Those that were given up are neither; probes, and connections to other nodes, are no dials.
   */
  readonly dials: DialCounts;
  /** Since the node was added or changed: what its connections have carried. */
  readonly bytes: ByteCounts;
}
