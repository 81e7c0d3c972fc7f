import { debug } from '../diagnostics.js';
import { ClosedError, type TunnelError } from '../errors.js';
import type { NodePool } from '../pool/node-pool.js';
import type { CheckedProbe } from './probe.js';
import { Prober, type Probed, type ProbeStatus } from './prober.js';
import type { SshTarget } from '../ssh/handshake.js';
import { addBytes, NO_BYTES, type ByteCounts } from '../ssh/byte-counts.js';
import { normalizeNodes, sameNode, type Node, type NodeSpec } from './node.js';
import type { NodeState, NodeStatus } from './node-status.js';
import { Router, type Route } from './router.js';

export interface FleetOptions {
  readonly onMiss: 'any-node' | 'reject';
  /** Makes the pool of a node; `onChange` is to be called when its state may have changed. */
  readonly createPool: (node: Node, onChange: () => void) => NodePool;
  /** Called when a node has entered another state. */
  readonly onState: (name: string) => void;
  /** How the nodes are probed, if they are. */
  readonly probe?: CheckedProbe | undefined;
}

/** Something that will happen once. */
class Change {
  happen: () => void = () => undefined;
  readonly happened = new Promise<void>((resolve) => {
    this.happen = resolve;
  });
}

interface Entry {
  node: Node;
  readonly pool: NodePool;
  state: NodeState;
  since: Date;
  probe: ProbeStatus | undefined;
  /** The entry as the prober sees it. */
  readonly probed: Probed;
}

/** The nodes there are, each with its pool, and who of them carries a dial. */
export class Fleet {
  readonly #options: FleetOptions;
  #entries = new Map<string, Entry>();
  /** Pools of nodes that were removed or replaced and still carry streams. */
  readonly #leaving = new Set<NodePool>();
  /** Carried for nodes that are gone. */
  #bytesOfGone = NO_BYTES;
  #router: Router;
  #nextChange = new Change();
  readonly #prober: Prober | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#prober = options.probe && new Prober(options.probe);
    this.#router = this.#createRouter();
  }

  /**
   * Makes these the nodes: an unchanged one keeps its connections and streams, a removed one drains, a changed one is replaced.
   *
   * @throws {@link InvalidOptionError}, and changes nothing then
   */
  update(specs: readonly NodeSpec[]): void {
    const before = this.#entries;
    // Whatever is wrong with the new nodes is found before the first of the old ones is touched.
    const wanted = [...normalizeNodes(specs).values()].map((node) => {
      const known = before.get(node.name);
      const kept = known !== undefined && sameNode(known.node, node);
      return { node, kept, entry: kept ? known : this.#createEntry(node) };
    });
    for (const { node, entry } of wanted) entry.node = node;
    this.#entries = new Map(wanted.map(({ node, entry }) => [node.name, entry]));
    this.#router = this.#createRouter();
    const added = wanted.filter(({ kept }) => !kept);
    const removed = [...before].filter(([name, entry]) => this.#entries.get(name) !== entry);
    for (const [, { pool }] of removed) this.#leave(pool);
    for (const { entry } of added) entry.pool.start();
    this.#prober?.update(wanted.map(({ entry }) => entry.probed));
    this.#announceChange();
    debug.router(
      '%d nodes, %d of them new; %d removed or replaced',
      wanted.length,
      added.length,
      removed.length,
    );
  }

  /** Has further connections made in this way, and tries at once again what nodes have refused. */
  retarget(targetOf: (node: Node) => SshTarget): void {
    for (const { node, pool } of this.#entries.values()) pool.retarget(targetOf(node));
  }

  /** @throws {@link NoRouteError} */
  route(host: string, node: string | undefined): Route {
    return this.#router.route(host, { node });
  }

  /** @throws {@link ClosedError} when the node has been removed since it was routed to */
  pool(node: Node): NodePool {
    const entry = this.#entries.get(node.name);
    if (entry === undefined) throw new ClosedError(`${node.name} has been removed`, { node: node.name });
    return entry.pool;
  }

  /** Has every node make a connection that has none. */
  warm(): void {
    for (const { pool } of this.#entries.values()) pool.warm();
  }

  /** How the nodes fare, with the failure that each is waiting out. */
  *states(): Iterable<{ readonly state: NodeState; readonly failure: TunnelError | undefined }> {
    for (const { pool } of this.#entries.values()) yield pool.snapshot();
  }

  /** Resolves when something has happened to a node's connections, or the nodes become others. */
  get changed(): Promise<void> {
    return this.#nextChange.happened;
  }

  status(name: string): NodeStatus | undefined {
    const entry = this.#entries.get(name);
    return entry === undefined ? undefined : statusOf(entry);
  }

  statuses(): NodeStatus[] {
    return [...this.#entries.values()].map(statusOf);
  }

  /** What was carried for all nodes there are and have been. */
  get bytes(): ByteCounts {
    let bytes = this.#bytesOfGone;
    for (const pool of this.#pools()) bytes = addBytes(bytes, pool.bytes);
    return bytes;
  }

  /** Takes no more dials; resolves when every stream is over and every connection closed. */
  async close(): Promise<void> {
    this.#prober?.stop();
    await Promise.all([...this.#pools()].map((pool) => pool.close()));
  }

  /** Ends every stream and connection at once. */
  async destroy(error: TunnelError): Promise<void> {
    this.#prober?.stop();
    await Promise.all([...this.#pools()].map((pool) => pool.destroy(error)));
  }

  *#pools(): Iterable<NodePool> {
    for (const { pool } of this.#entries.values()) yield pool;
    yield* this.#leaving;
  }

  #createRouter(): Router {
    const nodes = [...this.#entries.values()].map(({ node }) => node);
    return new Router(nodes, {
      load: ({ name }) => this.#entries.get(name)?.pool.load,
      onMiss: this.#options.onMiss,
    });
  }

  #createEntry(node: Node): Entry {
    const pool = this.#options.createPool(node, () => this.#noteState(entry));
    const entry: Entry = {
      node,
      pool,
      state: 'idle',
      since: new Date(),
      probe: undefined,
      probed: {
        get node() {
          return entry.node;
        },
        isUp: () => pool.snapshot().connections.ready > 0,
        dial: (attempt) => pool.dial(attempt),
        note: (status) => {
          entry.probe = status;
          this.#noteState(entry);
        },
      },
    };
    return entry;
  }

  #noteState(entry: Entry): void {
    if (this.#entries.get(entry.node.name) !== entry) return;
    this.#announceChange();
    const state = stateOf(entry);
    if (state === entry.state) return;
    entry.state = state;
    entry.since = new Date();
    this.#options.onState(entry.node.name);
  }

  #announceChange(): void {
    const { happen } = this.#nextChange;
    this.#nextChange = new Change();
    happen();
  }

  #leave(pool: NodePool): void {
    this.#leaving.add(pool);
    void pool.leave().finally(() => {
      this.#leaving.delete(pool);
      this.#bytesOfGone = addBytes(this.#bytesOfGone, pool.bytes);
    });
  }
}

/** A node whose tunnel is up but whose probe fails is degraded. */
function stateOf({ pool, probe }: Entry): NodeState {
  const { state } = pool.snapshot();
  return state === 'ready' && probe?.ok === false ? 'degraded' : state;
}

function statusOf(entry: Entry): NodeStatus {
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
    ...(node.clusterReady !== undefined && { clusterReady: node.clusterReady }),
    ...(roundTripMs !== undefined && { roundTripMs }),
    connections,
    channels,
    counts,
    bytes: pool.bytes,
  };
}
