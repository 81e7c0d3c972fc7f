import { EventEmitter } from 'node:events';
import type { NodeStatus } from '../../../lib/fleet/node-status.js';
import type { SourceStatus } from '../../../lib/source-follower.js';
import { NO_BYTES } from '../../../lib/ssh/byte-counts.js';
import type { DialerStatus, TunnelDialerEvents } from '../../../lib/tunnel-dialer.js';

const NUMBERED = Array.from({ length: 1000 }, (_, index) => index);

/** The status of a node that is ready, but for what is given. */
export function nodeStatus(name: string, status: Partial<NodeStatus> = {}): NodeStatus {
  return {
    name,
    address: '10.0.0.11',
    port: 22,
    state: 'ready',
    since: new Date(Date.now() - 60_000),
    roundTripMs: 0.8,
    connections: { ready: 1, connecting: 0, draining: 0 },
    channels: { open: 0, waiting: 0 },
    counts: { connected: 1, failed: 0, lost: 0 },
    dials: { opened: 0, failed: 0 },
    bytes: NO_BYTES,
    ...status,
  };
}

/** What a node is that cannot be connected. */
export const down: Partial<NodeStatus> = {
  state: 'down',
  cause: { code: 'ERR_TUNNEL_AUTH', message: 'sshd refused every method: publickey (ssh-ed25519)' },
  retryAt: new Date(Date.now() + 30_000),
};

/** A thousand nodes, of which every hundredth is down. */
export const thousand = (): NodeStatus[] =>
  NUMBERED.map((index) => nodeStatus(`node-${index}`, index % 100 === 0 ? down : {}));

/** A dialer that tells what a test says it should. */
export class FakeDialer extends EventEmitter<TunnelDialerEvents> {
  state: DialerStatus['state'] = 'open';
  source: SourceStatus | undefined;
  nodes: readonly NodeStatus[];
  /** How often somebody has asked for its status. */
  looks = 0;
  /** Thrown by the next `status()`. */
  failure: Error | undefined;

  constructor(nodes: readonly NodeStatus[] = [nodeStatus('node-1')]) {
    super();
    this.nodes = nodes;
  }

  status(): DialerStatus {
    this.looks += 1;
    if (this.failure !== undefined) throw this.failure;
    const { state, source, nodes } = this;
    return { state, ...(source !== undefined && { source }), nodes, bytes: NO_BYTES };
  }

  /** Changes one node without telling anybody. */
  set(name: string, status: Partial<NodeStatus>): NodeStatus {
    const changed = { ...this.nodes.find((node) => node.name === name)!, ...status };
    this.nodes = this.nodes.map((node) => (node.name === name ? changed : node));
    return changed;
  }

  /** Changes one node, and tells. */
  tell(name: string, status: Partial<NodeStatus>): void {
    this.emit('nodeState', this.set(name, status));
  }

  /** How many listen to it. */
  get watchers(): number {
    return this.listenerCount('nodeState') + this.listenerCount('source');
  }
}
