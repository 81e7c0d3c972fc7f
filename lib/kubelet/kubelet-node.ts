import { InvalidOptionError } from '../errors.js';
import {
  describeKind,
  host,
  integer,
  nonEmptyString,
  objectOf,
  optional,
  port,
  type Check,
} from '../validation.js';

/**
 * The types of address that Kubernetes knows (core/v1, NodeAddressType), in the order in which kube-apiserver prefers them for kubelets
 * (`--kubelet-preferred-address-types`).
 */
export const KUBELET_ADDRESS_TYPES = [
  'Hostname',
  'InternalDNS',
  'InternalIP',
  'ExternalDNS',
  'ExternalIP',
] as const;

/** What an address of a Node is. */
export type KubeletAddressType = (typeof KUBELET_ADDRESS_TYPES)[number];

/** A node by its name, and where its kubelet is; not the dialer's `NodeSpec`, whose `port` is that of sshd. */
export interface KubeletNode {
  /** The node's name to the dialer, and in the subject of its kubelet's certificate. */
  name: string;
  /** Where the node reaches its kubelet, and what the kubelet's certificate must be for. Default: `name`. */
  address?: string | undefined;
  /** Default: the client's `port`. */
  port?: number | undefined;
}

/** What is read of a Node of Kubernetes (core/v1), such as a `V1Node` of `@kubernetes/client-node`. */
export interface KubernetesNodeObject {
  metadata?: { name?: string | undefined } | undefined;
  status?:
    | {
        addresses?: readonly { type: string; address: string }[] | undefined;
        daemonEndpoints?: { kubeletEndpoint?: { Port?: number | undefined } | undefined } | undefined;
      }
    | undefined;
}

/** Where a kubelet is. */
export interface KubeletEndpoint {
  readonly node: string;
  readonly host: string;
  readonly port: number;
}

const DEFAULT_PORT = 10_250;

const checkNode = objectOf({
  name: nonEmptyString,
  address: optional(host),
  port: optional(kubeletPort),
} satisfies Record<keyof KubeletNode, Check<unknown>>);

/** A `NodeSpec` looks the same, but for what its `port` is. */
function kubeletPort(value: unknown, path: string): number {
  const checked = port(value, path);
  if (checked !== 22) return checked;
  throw new InvalidOptionError(path, 'is that of sshd: the port of a kubelet is meant, 10250 unless given');
}

/**
 * Picks address and port as kube-apiserver does (pkg/kubelet/client, NodeConnectionInfoGetter): the first address of the first type
 * that the node has, and no other when that one fails; the port that the node tells, else ours.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function endpointOf(
  node: unknown,
  types: readonly KubeletAddressType[],
  defaultPort = DEFAULT_PORT,
): KubeletEndpoint {
  if (typeof node === 'string')
    return { node: nonEmptyString(node, 'node'), host: host(node, 'node'), port: defaultPort };
  if (typeof node === 'object' && node !== null && 'metadata' in node)
    return ofObject(node as KubernetesNodeObject, types, defaultPort);
  if (typeof node !== 'object' || node === null) {
    const problem = `must be a name, { name, address, port } or a Node of Kubernetes, got ${describeKind(node)}`;
    throw new InvalidOptionError('node', problem);
  }
  const checked = checkNode(node, 'node');
  return {
    node: checked.name,
    host: checked.address ?? host(checked.name, 'node.name'),
    port: checked.port ?? defaultPort,
  };
}

function ofObject(
  { metadata, status }: KubernetesNodeObject,
  types: readonly KubeletAddressType[],
  defaultPort: number,
): KubeletEndpoint {
  const name = nonEmptyString(metadata?.name, 'node.metadata.name');
  const addresses = Array.isArray(status?.addresses)
    ? (status.addresses as readonly { type: string; address: string }[])
    : [];
  const told = optional(integer(0, 65535))(
    status?.daemonEndpoints?.kubeletEndpoint?.Port,
    'node.status.daemonEndpoints.kubeletEndpoint.Port',
  );
  const type = types.find((each) => addresses.some((address) => address.type === each));
  const found = addresses.find((address) => address.type === type);
  if (found === undefined) {
    const known = addresses.map(({ type: each }) => each).join(', ');
    const advice =
      known === ''
        ? 'it has none: give { name, address, port } as node'
        : `it has ${known}: see addressTypes`;
    const problem = `has no address of type ${types.join(', ')}; ${advice}`;
    throw new InvalidOptionError('node.status.addresses', problem);
  }
  // Kubernetes has no other way to leave the port out than 0.
  const isTold = told !== undefined && told > 0;
  return {
    node: name,
    host: host(found.address, 'node.status.addresses'),
    port: isTold ? told : defaultPort,
  };
}
