import { normalizeNodes, type NodeSpec } from '../fleet/node.js';
import { host } from '../validation.js';

/** The types of address that Kubernetes knows (core/v1, NodeAddressType), in the order in which they are preferred. */
export const ADDRESS_TYPES = ['InternalIP', 'Hostname', 'InternalDNS', 'ExternalIP', 'ExternalDNS'] as const;

/** What an address of a Node is. */
export type NodeAddressType = (typeof ADDRESS_TYPES)[number];

const PORT_ANNOTATION = 'tunnel-dialer/ssh-port';
const HOST_KEY_ANNOTATION = 'tunnel-dialer/ssh-host-key';
const READ_ANNOTATIONS: readonly string[] = [PORT_ANNOTATION, HOST_KEY_ANNOTATION];

/** What is read of a Node (core/v1). Nothing of it is certain to be there. */
export interface KubernetesNode {
  readonly metadata?: {
    readonly name?: string;
    readonly resourceVersion?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: { readonly podCIDR?: string; readonly podCIDRs?: readonly string[] };
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly daemonEndpoints?: { readonly kubeletEndpoint?: { readonly Port?: number } };
  };
}

/**
 * A Node as it came, without what is not read of it: nearly all of some 20 KB. It may be anything; what it lacks then is said by
 * {@link nodeSpecOf}.
 */
export function trimNode(value: unknown): KubernetesNode {
  const { metadata, spec, status } = recordOf(value);
  const { name, resourceVersion, annotations } = recordOf(metadata);
  const { podCIDR, podCIDRs } = recordOf(spec);
  const { addresses, conditions, daemonEndpoints } = recordOf(status);
  const { Port } = recordOf(recordOf(daemonEndpoints).kubeletEndpoint);
  const node = {
    metadata: {
      name: typeof name === 'string' ? name : undefined,
      resourceVersion: typeof resourceVersion === 'string' ? resourceVersion : undefined,
      annotations: Object.fromEntries(
        Object.entries(recordOf(annotations)).filter(([key]) => READ_ANNOTATIONS.includes(key)),
      ),
    },
    spec: { podCIDR, podCIDRs },
    status: {
      addresses: recordsOf(addresses).map(({ type, address }) => ({ type, address })),
      conditions: recordsOf(conditions)
        .filter(({ type }) => type === 'Ready')
        .map(({ type, status: value }) => ({ type, status: value })),
      daemonEndpoints: { kubeletEndpoint: { Port } },
    },
  };
  // What has another type in it is refused with the spec that it becomes part of.
  return node as KubernetesNode;
}

const recordOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

const recordsOf = (value: unknown): readonly Readonly<Record<string, unknown>>[] =>
  Array.isArray(value) ? value.map(recordOf) : [];

/** How a Node is read. */
export interface NodeReading {
  readonly addressTypes: readonly NodeAddressType[];
  readonly annotations: boolean;
  /** On the way to every node, the nearest to us first. */
  readonly bastions: readonly NodeSpec[];
}

/**
 * The node that a Node is to the fleet. What it says has been checked as the dialer will check it, because that refuses a list for
 * one wrong node in it.
 *
 * @throws an error that says why it cannot be used
 */
export function nodeSpecOf(node: KubernetesNode, reading: NodeReading): NodeSpec {
  const { metadata = {}, spec = {}, status = {} } = node;
  const { name = '' } = metadata;
  // The API server does not check addresses, and a strange one must not cost the node the others.
  const usable = (status.addresses ?? []).filter(({ address }) => isHost(address));
  const address = reading.addressTypes
    .flatMap((type) => usable.filter((each) => each.type === type))
    .at(0)?.address;
  if (address === undefined) {
    throw new Error(`it has no usable address of type ${reading.addressTypes.join(', ')}`);
  }
  const annotations = reading.annotations ? (metadata.annotations ?? {}) : {};
  if (reading.bastions.some((bastion) => bastion.name.toLowerCase() === name.toLowerCase()))
    throw new Error('it has the name of a bastion');
  const result: NodeSpec = {
    name,
    address,
    port: portOf(annotations[PORT_ANNOTATION]),
    addresses: [...new Set(usable.map((each) => each.address))],
    podCIDRs: spec.podCIDRs ?? (spec.podCIDR ? [spec.podCIDR] : []),
    hostKey: annotations[HOST_KEY_ANNOTATION],
    kubeletPort: kubeletPortOf(status),
    clusterReady: isReady(status.conditions ?? []),
    via: reading.bastions.at(-1)?.name,
  };
  normalizeNodes([result]);
  return result;
}

function isHost(address: string): boolean {
  try {
    host(address, 'address');
    return true;
  } catch {
    return false;
  }
}

function portOf(annotation: string | undefined): number | undefined {
  if (annotation === undefined) return undefined;
  if (/^\d{1,5}$/.test(annotation)) return Number(annotation);
  throw new Error(`its annotation ${PORT_ANNOTATION} is no port`);
}

function kubeletPortOf({ daemonEndpoints }: NonNullable<KubernetesNode['status']>): number | undefined {
  const port = daemonEndpoints?.kubeletEndpoint?.Port;
  // What is not known is 0 in Go.
  return port === 0 ? undefined : port;
}

/** `Unknown`, when the cluster has not heard of the node for long, is not ready. */
function isReady(conditions: readonly { type: string; status: string }[]): boolean | undefined {
  const ready = conditions.find(({ type }) => type === 'Ready');
  return ready === undefined ? undefined : ready.status === 'True';
}
