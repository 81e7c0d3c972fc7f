import { debug } from '../diagnostics.js';
import { AuthenticationError, ClosedError, isLasting, type TunnelError } from '../errors.js';
import { jumpThrough } from '../pool/jump.js';
import type { NodePool } from '../pool/node-pool.js';
import { endEntries, isUp, statusOf, stateOf, type Entry } from './entry.js';
import { KeyInstaller, type KeyInstallerOptions } from './key-installer.js';
import type { CheckedProbe } from './probe.js';
import { Prober, type Probed } from './prober.js';
import type { SshTarget } from '../ssh/handshake.js';
import { addBytes, NO_BYTES, type ByteCounts } from '../ssh/byte-counts.js';
import { hopsBehind, type JumpHost } from '../ssh/jump-host.js';
import { inJumpOrder } from './jump-hosts.js';
import { normalizeNodes, sameNode, type Node, type NodeSpec } from './node.js';
import type { NodeStatus } from './node-status.js';
import { Router, type Route } from './router.js';

export interface FleetOptions {
  readonly onMiss: 'any-node' | 'reject';
  /** Makes the pool of a node; `onChange` is to be called when its state may have changed. */
  readonly createPool: (node: Node, via: JumpHost | undefined, onChange: () => void) => NodePool;
  /** Called when a node has entered another state. */
  readonly onState: (name: string) => void;
  /** How the nodes are probed, if they are. */
  readonly probe?: CheckedProbe | undefined;
  /** How our key is installed on the nodes, if it is. */
  readonly keyInstaller?: KeyInstallerOptions | undefined;
}

/** How the nodes fare as a whole. */
export interface Readiness {
  readonly nodes: number;
  /** How many are connected. */
  readonly up: number;
  /** Failures of those that are down and stay so until a person mends what is wrong. */
  readonly refusals: readonly TunnelError[];
}

/** Something that will happen once. */
class Change {
  happen: () => void = () => undefined;
  readonly happened = new Promise<void>((resolve) => {
    this.happen = resolve;
  });
}

/** The nodes there are, each with its pool, and who of them carries a dial. */
export class Fleet {
  readonly #options: FleetOptions;
  #entries = new Map<string, Entry>();
  /** Nodes that were removed or replaced and still carry streams, or connections of others that do. */
  readonly #leaving = new Set<Entry>();
  /** Carried for nodes that are gone. */
  #bytesOfGone = NO_BYTES;
  #router: Router;
  #nextChange = new Change();
  readonly #prober: Prober | undefined;
  readonly #keyInstaller: KeyInstaller | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#prober = options.probe && new Prober(options.probe);
    this.#keyInstaller = options.keyInstaller && new KeyInstaller(options.keyInstaller);
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
    const nodes = normalizeNodes(specs);
    const wanted = this.#entriesFor(nodes.values());
    this.#entries = new Map();
    for (const node of nodes.values()) {
      const entry = wanted.get(node);
      if (entry === undefined) continue;
      entry.node = node;
      this.#entries.set(node.name, entry);
    }
    this.#router = this.#createRouter();
    const added = [...wanted.values()].filter((entry) => before.get(entry.node.name) !== entry);
    const removed = [...before.values()].filter((entry) => this.#entries.get(entry.node.name) !== entry);
    this.#leave(removed);
    for (const entry of added) {
      entry.via?.carried.add(entry);
      entry.pool.start();
    }
    const probed = [...wanted.values()].filter(({ node }) => !node.bastion);
    this.#prober?.update(probed.map((entry) => (entry.probed ??= this.#probed(entry))));
    this.#keyInstaller?.update([...wanted.values()]);
    this.#announceChange();
    debug.router(
      '%d nodes, %d of them new; %d removed or replaced',
      wanted.size,
      added.length,
      removed.length,
    );
  }

  /** Has further connections made in this way, and tries at once again what nodes have refused. */
  retarget(targetOf: (node: Node, via: JumpHost | undefined) => SshTarget): void {
    for (const { node, pool, via } of this.#entries.values()) pool.retarget(targetOf(node, via?.jumpHost));
    this.#keyInstaller?.renew();
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

  /** How those nodes fare that dials are routed to. To be had after every change to any of them, so nothing is made for each. */
  readiness(): Readiness {
    let nodes = 0;
    let up = 0;
    const refusals: TunnelError[] = [];
    for (const entry of this.#entries.values()) {
      const { node, state, pool } = entry;
      if (node.bastion) continue;
      nodes += 1;
      if (isUp(state)) up += 1;
      else if (state === 'down' && pool.failure && this.#isRefusal(entry, pool.failure))
        refusals.push(pool.failure);
    }
    return { nodes, up, refusals };
  }

  /** Whether waiting does not help. */
  #isRefusal(entry: Entry, failure: TunnelError): boolean {
    const isHelped =
      failure instanceof AuthenticationError && this.#keyInstaller?.isToBeInstalled(entry) === true;
    return isLasting(failure) && !isHelped;
  }

  /** Resolves when something has happened to a node's connections, or the nodes become others. */
  get changed(): Promise<void> {
    return this.#nextChange.happened;
  }

  status(name: string): NodeStatus | undefined {
    const entry = this.#entries.get(name);
    return entry === undefined ? undefined : this.#statusOf(entry);
  }

  statuses(): NodeStatus[] {
    return [...this.#entries.values()].map((entry) => this.#statusOf(entry));
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
    this.#keyInstaller?.stop();
    await endEntries([...this.#entries.values(), ...this.#leaving], ({ pool }) => pool.close());
  }

  /** Ends every stream and connection at once. */
  async destroy(error: TunnelError): Promise<void> {
    this.#prober?.stop();
    this.#keyInstaller?.stop();
    await Promise.all([...this.#pools()].map((pool) => pool.destroy(error)));
  }

  #statusOf(entry: Entry): NodeStatus {
    return statusOf(entry, this.#keyInstaller?.statusOf(entry));
  }

  *#pools(): Iterable<NodePool> {
    for (const { pool } of this.#entries.values()) yield pool;
    for (const { pool } of this.#leaving) yield pool;
  }

  #createRouter(): Router {
    const nodes = [...this.#entries.values()].map(({ node }) => node);
    return new Router(nodes, {
      load: ({ name }) => this.#entries.get(name)?.pool.load,
      onMiss: this.#options.onMiss,
    });
  }

  /** An entry for each node: the one that there is, if its connections serve. */
  #entriesFor(nodes: Iterable<Node>): ReadonlyMap<Node, Entry> {
    const entries = new Map<Node, Entry>();
    for (const { node, via } of inJumpOrder(nodes)) {
      const carrier = via && entries.get(via);
      const known = this.#entries.get(node.name);
      const serves = known !== undefined && known.via === carrier && sameNode(known.node, node);
      entries.set(node, serves ? known : this.#createEntry(node, carrier));
    }
    return entries;
  }

  #createEntry(node: Node, via: Entry | undefined): Entry {
    const pool = this.#options.createPool(node, via?.jumpHost, () => this.#noteState(entry));
    const entry: Entry = {
      node,
      pool,
      via,
      carried: new Set(),
      jumpHost: jumpThrough(pool, node.name, hopsBehind(via?.jumpHost)),
      over: undefined,
      state: 'idle',
      since: new Date(),
      probe: undefined,
      probed: undefined,
    };
    return entry;
  }

  #probed(entry: Entry): Probed {
    const { pool } = entry;
    return {
      get node() {
        return entry.node;
      },
      isUp: () => pool.snapshot().connections.ready > 0,
      dial: (attempt) => pool.dial(attempt),
      note: (status) => {
        entry.probe = status;
        this.#noteState(entry);
      },
    };
  }

  #noteState(entry: Entry): void {
    if (this.#entries.get(entry.node.name) !== entry) return;
    this.#announceChange();
    const state = stateOf(entry);
    if (state === entry.state) return;
    if (isUp(state) && !isUp(entry.state)) {
      for (const { pool } of entry.carried) pool.retryNow();
      if (entry.probed !== undefined) this.#prober?.greet(entry.probed);
    }
    entry.state = state;
    entry.since = new Date();
    this.#options.onState(entry.node.name);
  }

  #announceChange(): void {
    const { happen } = this.#nextChange;
    this.#nextChange = new Change();
    happen();
  }

  #leave(entries: readonly Entry[]): void {
    for (const entry of entries) this.#leaving.add(entry);
    void endEntries(entries, async (entry) => {
      await entry.pool.leave();
      this.#leaving.delete(entry);
      this.#bytesOfGone = addBytes(this.#bytesOfGone, entry.pool.bytes);
    });
  }
}
