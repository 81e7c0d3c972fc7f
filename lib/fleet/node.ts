import { InvalidOptionError } from '../errors.js';
import type { HostKeyVerifier } from '../ssh/host-keys/verifier.js';
import { hostKeyVerifierFor } from '../ssh/host-keys/pinned-host-key.js';
import {
  arrayOf,
  boolean,
  describeValue,
  host,
  objectOf,
  optional,
  port,
  username,
  withDefault,
  type Check,
} from '../validation.js';
import { parseCidr, parseHost, type Cidr } from './ip-address.js';

/** A machine of the cluster that runs sshd. */
export interface NodeSpec {
  /** Unique name, whatever the case; a dial to this name goes to this node. A host key on record for the name is the node's, too. */
  name: string;
  /**
   * Name or IP address at which sshd is reached. A dial to it goes to this node. Nodes may share an address,
   * such as several sshd on different ports of one machine; a dial to a shared address goes to any of them, a
   * dial to a name never does.
   */
  address: string;
  /** Port of sshd. Default: 22. */
  port?: number | undefined;
  /** All other names and IP addresses that mean this node. */
  addresses?: readonly string[] | undefined;
  /** Pod networks of this node, such as `10.244.1.0/24` or `fd00:10:244:1::/64`. */
  podCIDRs?: readonly string[] | undefined;
  /** Its host key (`SHA256:…`, or a public key line), or a verifier. Default: the dialer's `ssh.hostKeys`. */
  hostKey?: string | HostKeyVerifier | undefined;
  /** User to log in as. Default: the dialer's `ssh.username`. */
  username?: string | undefined;
  /** Where a dial to the node's own name or addresses arrives, such as `127.0.0.1`. Default: as asked for. */
  selfAddress?: string | undefined;
  /** Port of its kubelet, which probes ask. Default: 10250. */
  kubeletPort?: number | undefined;
  /** Whether the cluster takes the node for ready. It is shown in the status and changes nothing else. Default: not known. */
  clusterReady?: boolean | undefined;
  /** Name of the node in the same list that carries the connections to this one, as OpenSSH's `ProxyJump` does. Default: none, its sshd is reached by TCP. */
  via?: string | undefined;
  /** Whether it only carries connections to other nodes: no dial is routed to it, unless `options.node` of the dial names it, and `ready` does not ask for it. Default: no. */
  bastion?: boolean | undefined;
}

/** A checked {@link NodeSpec}: frozen, with its defaults, IP addresses in canonical form without brackets. */
export interface Node {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** All names and IP addresses that mean this node, `address` first, none twice. */
  readonly addresses: readonly string[];
  readonly podCIDRs: readonly Cidr[];
  readonly hostKey: string | HostKeyVerifier | undefined;
  readonly username: string | undefined;
  readonly selfAddress: string | undefined;
  readonly kubeletPort: number;
  readonly clusterReady: boolean | undefined;
  readonly via: string | undefined;
  readonly bastion: boolean;
}

const dialable: Check<string> = (value, path) => parseHost(host(value, path)).host;

const cidr: Check<Cidr> = (value, path) => {
  const parsed = typeof value === 'string' ? parseCidr(value) : undefined;
  if (parsed !== undefined) return parsed;
  const example = 'a network such as 10.244.1.0/24 or fd00:10:244:1::/64';
  throw new InvalidOptionError(path, `must be ${example}, got ${describeValue(value)}`);
};

/** A key is checked here, but kept as the text it was, because that is what {@link sameNode} can compare. */
const hostKey: Check<string | HostKeyVerifier> = (value, path) => {
  const verifier = hostKeyVerifierFor(value, path);
  return typeof value === 'string' ? value : verifier;
};

/** That it is in the list is judged where the whole list is known. */
const jumpHost: Check<string> = (value, path) => {
  try {
    return host(value, path);
  } catch {
    // It may hold a password.
    const got = typeof value === 'string' && /[@/]/.test(value) ? 'a URL' : describeValue(value);
    throw new InvalidOptionError(path, `must be the name of one node in the list, got ${got}`);
  }
};

const checkSpec = objectOf({
  name: host,
  address: dialable,
  port: withDefault(port, 22),
  addresses: withDefault(arrayOf(dialable), []),
  podCIDRs: withDefault(arrayOf(cidr), []),
  hostKey: optional(hostKey),
  username: optional(username),
  selfAddress: optional(dialable),
  kubeletPort: withDefault(port, 10250),
  clusterReady: optional(boolean),
  via: optional(jumpHost),
  bastion: withDefault(boolean, false),
} satisfies Record<keyof NodeSpec, Check<unknown>>);

const checkNode: Check<Node> = (value, path) => {
  const spec = checkSpec(value, path);
  const addresses = uniqueBy([spec.address, ...spec.addresses], (address) => parseHost(address).key);
  const podCIDRs = uniqueBy(spec.podCIDRs, (network) => network.text);
  return Object.freeze({ ...spec, addresses: Object.freeze(addresses), podCIDRs: Object.freeze(podCIDRs) });
};

/**
 * Checks a list of nodes and keys them by name, in the order given.
 *
 * Only a name must be unique. An address or a pod network may have several owners: a cluster's API lists the
 * node that left beside the one that got its address, and that must not cost the others their update.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function normalizeNodes(specs: readonly NodeSpec[], path = 'nodes'): ReadonlyMap<string, Node> {
  const nodes = arrayOf(checkNode)(specs, path);
  const indexes = new Map<string, number>();
  for (const [index, { name }] of nodes.entries()) {
    const { key } = parseHost(name);
    const earlier = indexes.get(key);
    if (earlier !== undefined) {
      const problem = `${describeValue(name)} is already the name of ${path}[${earlier}]; a name is unique`;
      throw new InvalidOptionError(`${path}[${index}].name`, problem);
    }
    indexes.set(key, index);
  }
  return new Map(nodes.map((node) => [node.name, node]));
}

/**
 * Whether connections made for one state of a node serve the other, if what carries them does: same sshd, same identity, same login. Pod networks,
 * `selfAddress` and `bastion` may differ, they only change which dials come this way; so may addresses, if the node's host key is not looked up by
 * them. Verifiers are the same if they are one object, so make one and use it in every list.
 */
export function sameNode(a: Node, b: Node): boolean {
  return (
    a.name === b.name &&
    a.address === b.address &&
    a.port === b.port &&
    a.hostKey === b.hostKey &&
    a.username === b.username &&
    (a.hostKey !== undefined || sameMembers(a.addresses, b.addresses))
  );
}

function sameMembers(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((member) => b.includes(member));
}

function uniqueBy<T>(members: readonly T[], keyOf: (member: T) => string): T[] {
  const seen = new Map<string, T>();
  for (const member of members) {
    const key = keyOf(member);
    if (!seen.has(key)) seen.set(key, member);
  }
  return [...seen.values()];
}
