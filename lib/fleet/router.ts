import { NoRouteError } from '../errors.js';
import { describeValue } from '../validation.js';
import { leadingBits, parseHost, type Cidr, type IpAddress, type ParsedHost } from './ip-address.js';
import type { Node } from './node.js';

/** A node that may carry the dial. */
export interface Candidate {
  readonly node: Node;
  /** What to ask the node's sshd for: no brackets, an IP address in canonical form. */
  readonly host: string;
}

/**
 * The nodes that may carry a dial, in the order to try them; at least one.
 *
 * - `node`: the host means these nodes, or the caller named one. No other will do.
 * - `pod`: the host is in a pod network; its owners come first, any ready node may stand in.
 * - `any`: nobody owns the host; every node is as good as another.
 */
export type Route =
  | { readonly kind: 'node'; readonly candidates: readonly Candidate[] }
  | { readonly kind: 'pod'; readonly cidr: string; readonly candidates: readonly Candidate[] }
  | { readonly kind: 'any'; readonly candidates: readonly Candidate[] };

/** What the router asks of the world. */
export interface RouterOptions {
  /** How busy a node is, in any unit that compares; `undefined`: it is not ready. */
  load: (node: Node) => number | undefined;
  /** What becomes of a host that no node owns. Default: `any-node`. */
  onMiss?: 'any-node' | 'reject' | undefined;
  /** How many nodes a route names at most. Default: 3. */
  maxCandidates?: number | undefined;
  /** From 0 up to 1, as `Math.random`, which is the default. */
  random?: (() => number) | undefined;
}

/** A pod network and the nodes that claim it. */
interface Network {
  readonly cidr: Cidr;
  readonly owners: Node[];
}

/** The networks of one length of prefix, by that prefix. */
interface PrefixTable {
  readonly prefix: number;
  readonly networks: Map<bigint, Network>;
}

/** Says which nodes may carry a dial. Its tables never change: other nodes, another router. */
export class Router {
  readonly #options: RouterOptions;
  readonly #maxCandidates: number;
  /** Without bastions. Shuffled in place by every draw; a draw is even whatever order the last one left behind. */
  readonly #nodes: Node[];
  /** Bastions included. */
  readonly #names = new Map<string, Node>();
  /** By the address that a node is connected at, and by its other ones. */
  readonly #addresses = new Map<string, Node[]>();
  readonly #otherAddresses = new Map<string, Node[]>();
  readonly #networks: Record<IpAddress['family'], PrefixTable[]>;

  constructor(nodes: Iterable<Node>, options: RouterOptions) {
    this.#options = options;
    this.#maxCandidates = options.maxCandidates ?? 3;
    this.#nodes = [];
    for (const node of nodes) {
      this.#names.set(parseHost(node.name).key, node);
      if (node.bastion) continue;
      this.#nodes.push(node);
      const [address, ...others] = node.addresses.map((each) => parseHost(each).key);
      if (address !== undefined) append(this.#addresses, address, node);
      for (const other of others) append(this.#otherAddresses, other, node);
    }
    this.#networks = { 4: prefixTables(this.#nodes, 4), 6: prefixTables(this.#nodes, 6) };
  }

  /**
   * Routes a host that has passed validation. A name wins over an address, an address over a pod network, a
   * long prefix over a short one.
   *
   * @param options - `node`: name of the node that must carry the dial, whatever the host
   * @throws {@link NoRouteError} `ERR_TUNNEL_NO_ROUTE`
   */
  route(host: string, options: { readonly node?: string | undefined } = {}): Route {
    const target = parseHost(host);
    if ((options.node === undefined ? this.#nodes.length : this.#names.size) === 0) {
      const problem = this.#names.size === 0 ? 'are no nodes yet' : 'are only bastions, which carry no dials';
      throw new NoRouteError(`there ${problem}: give the dialer nodes, or wait for ready()`, { host });
    }
    if (options.node !== undefined) {
      return { kind: 'node', candidates: this.#toward(target, [this.#named(options.node, host)]) };
    }

    const named = this.#meant(target);
    const owners = named === undefined ? this.#ownersOf(target.key) : [named];
    if (owners !== undefined) return { kind: 'node', candidates: this.#toward(target, this.#draw(owners)) };

    const pods = target.ip === undefined ? undefined : this.#network(target.ip);
    if (pods !== undefined) {
      const first = this.#draw(pods.owners);
      const others = this.#draw(this.#nodes, new Set(pods.owners));
      const nodes = [...first, ...others].slice(0, this.#maxCandidates);
      return { kind: 'pod', cidr: pods.cidr.text, candidates: this.#toward(target, nodes) };
    }

    if (this.#options.onMiss === 'reject') {
      const advice = `add it to a node's addresses or podCIDRs, name a node, or set onMiss to 'any-node'`;
      throw new NoRouteError(`no node owns ${describeValue(host)}: ${advice}`, { host });
    }
    return { kind: 'any', candidates: this.#toward(target, this.#draw(this.#nodes)) };
  }

  /** The node that the host is the name of; a bastion has to be asked for. */
  #meant({ key }: ParsedHost): Node | undefined {
    const node = this.#names.get(key);
    return node?.bastion === true ? undefined : node;
  }

  /** What a node merely says of itself does not draw dials away from the node that is connected there. */
  #ownersOf(address: string): Node[] | undefined {
    return this.#addresses.get(address) ?? this.#otherAddresses.get(address);
  }

  #named(name: string, host: string): Node {
    const node = this.#names.get(parseHost(name).key);
    if (node !== undefined) return node;
    const message = `there is no node named ${describeValue(name)} among ${this.#names.size} nodes`;
    throw new NoRouteError(message, { node: name, host });
  }

  /** The longest prefix that holds the address: one step per length in use, however many nodes there are. */
  #network(ip: IpAddress): Network | undefined {
    for (const { prefix, networks } of this.#networks[ip.family]) {
      const found = networks.get(leadingBits(ip, prefix));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #toward(target: ParsedHost, nodes: readonly Node[]): Candidate[] {
    const named = this.#names.get(target.key);
    const owners = this.#ownersOf(target.key) ?? [];
    // A name that no address repeats is our label for the node; no resolver need ever have heard of it.
    const isLabel = named !== undefined && target.ip === undefined && !owners.includes(named);
    const host = isLabel ? named.address : target.host;
    return nodes.map((node) => {
      const itself = node === named || (named === undefined && owners.includes(node));
      return { node, host: itself ? (node.selfAddress ?? host) : host };
    });
  }

  /**
   * Draws up to `maxCandidates` nodes: the less busy of two random ready ones, then more that are ready, then
   * some that are not, whose errors say what is wrong with them. Stand-ins for other nodes are only nodes
   * that are ready. The choice of two keeps the load even without a look at every node (M. Mitzenmacher, "The
   * Power of Two Choices in Randomized Load Balancing", 2001).
   */
  #draw(nodes: Node[], standInsFor?: ReadonlySet<Node>): Node[] {
    const { load: loadOf, random = Math.random } = this.#options;
    const wanted = Math.max(2, this.#maxCandidates);
    const ready: { readonly node: Node; readonly load: number }[] = [];
    const unready: Node[] = [];
    for (let index = 0; index < nodes.length && ready.length < wanted; index += 1) {
      const node = drawInto(nodes, index, random);
      if (node === undefined) break;
      const load = loadOf(node);
      if (load === undefined) {
        if (standInsFor === undefined && unready.length < wanted) unready.push(node);
      } else if (standInsFor?.has(node) !== true) {
        ready.push({ node, load });
      }
    }
    const [one, two] = ready;
    if (one !== undefined && two !== undefined && two.load < one.load) ready.splice(0, 2, two, one);
    return [...ready.map(({ node }) => node), ...unready].slice(0, this.#maxCandidates);
  }
}

/** One step of Fisher and Yates: swaps a random member from `index` on into that place and returns it. */
function drawInto<T>(members: T[], index: number, random: () => number): T | undefined {
  const other = index + Math.floor(random() * (members.length - index));
  const drawn = members[other];
  const displaced = members[index];
  if (drawn === undefined || displaced === undefined) return undefined;
  members[index] = drawn;
  members[other] = displaced;
  return drawn;
}

function append<K, V>(lists: Map<K, V[]>, key: K, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

function prefixTables(nodes: readonly Node[], family: IpAddress['family']): PrefixTable[] {
  const tables = new Map<number, PrefixTable>();
  for (const node of nodes) {
    for (const cidr of node.podCIDRs) {
      if (cidr.family !== family) continue;
      const networks = tables.get(cidr.prefix)?.networks ?? new Map<bigint, Network>();
      tables.set(cidr.prefix, { prefix: cidr.prefix, networks });
      const owners = networks.get(cidr.network)?.owners ?? [];
      networks.set(cidr.network, { cidr, owners });
      owners.push(node);
    }
  }
  return [...tables.values()].sort((a, b) => b.prefix - a.prefix);
}
