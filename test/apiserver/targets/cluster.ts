import type { Caller } from '../../../lib/apiserver/access.js';
import type {
  LookedUp,
  LookupOptions,
  NodeObject,
  PodObject,
  Resolver,
  ServiceEndpoint,
  ServiceObject,
} from '../../../lib/apiserver/resolver.js';

export const callerNamed = (key: string): Caller => ({
  key,
  userName: key,
  upstreamHeaders: () => Promise.resolve({ authorization: `Bearer ${key}` }),
});

export const lookup: LookupOptions = { caller: callerNamed('alice') };

/** A cluster whose objects are in memory, by `namespace/name`. */
export class Cluster implements Resolver {
  readonly nodes: Record<string, NodeObject> = {};
  readonly pods: Record<string, PodObject> = {};
  readonly services: Record<string, ServiceObject> = {};
  readonly slices: Record<string, readonly ServiceEndpoint[]> = {};
  /** What was looked up. */
  readonly asked: string[] = [];
  /** What is not to be remembered. */
  readonly forgotten: string[] = [];

  forget({ kind, namespace, name }: LookedUp): void {
    this.forgotten.push([kind, namespace, name].filter(Boolean).join(' '));
  }

  node(name: string): Promise<NodeObject | undefined> {
    this.asked.push(`node ${name}`);
    return Promise.resolve(this.nodes[name]);
  }

  pod(namespace: string, name: string): Promise<PodObject | undefined> {
    this.asked.push(`pod ${namespace}/${name}`);
    return Promise.resolve(this.pods[`${namespace}/${name}`]);
  }

  service(namespace: string, name: string): Promise<ServiceObject | undefined> {
    return Promise.resolve(this.services[`${namespace}/${name}`]);
  }

  endpoints(namespace: string, service: string): Promise<readonly ServiceEndpoint[]> {
    return Promise.resolve(this.slices[`${namespace}/${service}`] ?? []);
  }
}

/** Addresses by their types, in this order. */
export const nodeAt = (name: string, addresses: Record<string, string>, port?: number): NodeObject => ({
  metadata: { name },
  status: {
    addresses: Object.entries(addresses).map(([type, address]) => ({ type, address })),
    ...(port !== undefined && { daemonEndpoints: { kubeletEndpoint: { Port: port } } }),
  },
});

/** @param ports - of its containers */
export function podAt(
  address: string | readonly string[],
  ports: readonly number[][] = [],
  nodeName?: string,
): PodObject {
  const ips = [address].flat();
  return {
    metadata: { name: 'foo', namespace: 'default' },
    spec: {
      nodeName,
      containers: ports.map((each, index) => ({
        name: `ctr${index}`,
        ports: each.map((containerPort) => ({ containerPort })),
      })),
    },
    status: { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) },
  };
}
