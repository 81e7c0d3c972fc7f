import { isIP } from 'node:net';
import type { Backend } from '../backend.js';
import type { LookedUp, LookupOptions, NodeObject, PodObject, Resolver, ServiceObject } from '../resolver.js';
import type { Backends } from './backends.js';
import { drawEndpoints, type EndpointChoice } from './endpoint-choice.js';
import { isProxyable, isProxyableHost } from './proxyable.js';
import { addressNotAllowed, badRequest, notFound, quoted, unavailable } from './refusals.js';
import { parseTargetName, portNumberIn, type TargetKind } from './target-name.js';

/** So many endpoints of a service are looked at, in the hope that one of them is the pod that it says. */
const MAX_TRIED = 16;

/**
 * Finds out where a request to a node, pod or service goes, as kube-apiserver does (pkg/registry/core/{node,pod,service}). An address that
 * is not global unicast is refused, after it was looked up; ClusterIPs are never used.
 *
 * A pod's node carries the connection to it, a node that to itself. A dialer whose node has a `selfAddress` arrives at that address when a
 * node, or a pod in its network, is dialled, so that what listens there only can be reached by whoever may proxy to them. No port is
 * refused for that: which is a pod's in that network cannot be told, and whoever may proxy to a node may run commands there by its kubelet.
 */
export class Targets {
  readonly #resolver: Resolver;
  readonly #backends: Backends;
  readonly #random: () => number;

  /** @param random - from 0 up to 1; which endpoint of a service is taken. Default: `Math.random` */
  constructor(resolver: Resolver, backends: Backends, random: () => number = Math.random) {
    this.#resolver = resolver;
    this.#backends = backends;
    this.#random = random;
  }

  /**
   * A node's kubelet, if that is the port or none is told; then it is `https` whatever the caller says. Else another port of the node, at the first IP
   * address that it has: a name could be resolved by the node to its own loopback, as Debian's `/etc/hosts` does with a machine's name.
   *
   * @param text - `[scheme:]name[:port]`
   * @throws {@link StatusError} 400, 404; what the lookup throws
   */
  async node(text: string, lookup: LookupOptions): Promise<Backend> {
    const { scheme, name, port } = parseTargetName('node', text);
    const node = await this.#node(name, lookup);
    const kubelet = this.#backends.kubelet(node);
    if (port === '' || port === String(kubelet.port)) {
      if (!isProxyableHost(kubelet.host)) throw addressNotAllowed();
      return this.#found(kubelet, lookup, { kind: 'node', name });
    }
    const number = portIn('node', text, port);
    const address = this.#firstIpAddress(node);
    if (!isProxyable(address)) throw addressNotAllowed();
    return this.#found(this.#backends.plain(scheme, address, number, name), lookup, { kind: 'node', name });
  }

  /**
   * A pod, at the port that is told, else at the first one of the first container that has any, else at that of the scheme.
   *
   * @throws {@link StatusError} 400, 404; what the lookup throws
   */
  async pod(namespace: string, text: string, lookup: LookupOptions): Promise<Backend> {
    const { scheme, name, port } = parseTargetName('pod', text);
    const pod = await this.#resolver.pod(namespace, name, lookup);
    if (pod === undefined) throw notFound('pods', name);
    const number = port === '' ? firstPortOf(pod) : portIn('pod', text, port);
    const address = addressOf(pod);
    if (!isProxyable(address)) throw addressNotAllowed();
    const backend = this.#backends.plain(scheme, address, number, nodeOf(pod));
    return this.#found(backend, lookup, { kind: 'pod', namespace, name });
  }

  /**
   * A random ready endpoint of a service that is a pod of its namespace. A port is the service's, by number or name; the endpoint's own
   * goes by the same name.
   *
   * @throws {@link StatusError} 400, 404, 503; what the lookups throw
   */
  async service(namespace: string, text: string, lookup: LookupOptions): Promise<Backend> {
    const { scheme, name, port } = parseTargetName('service', text);
    const service = await this.#resolver.service(namespace, name, lookup);
    if (service === undefined) throw notFound('services', name);
    const portName = /^-?\d+$/.test(port) ? portNameOf(service, name, port) : port;
    const endpoints = await this.#resolver.endpoints(namespace, name, lookup);
    const wish = { namespace, portName, max: MAX_TRIED, random: this.#random };
    for (const choice of drawEndpoints(endpoints, wish)) {
      const pod = await this.#resolver.pod(namespace, choice.pod, lookup);
      if (pod === undefined || !isOf(choice, pod)) continue;
      const backend = this.#backends.plain(
        scheme,
        choice.address,
        choice.port,
        nodeOf(pod) ?? choice.nodeName,
      );
      const which: LookedUp[] = [
        { kind: 'service', namespace, name },
        { kind: 'pod', namespace, name: choice.pod },
      ];
      return this.#found(backend, lookup, ...which);
    }
    throw unavailable(`no endpoints available for service ${quoted(name)}`);
  }

  /**
   * The kubelet of a pod's node, for its logs and streams. Its address is not judged: what is asked of it there is ours.
   *
   * @throws {@link StatusError} 400 if the pod has no node yet, 404 if its node is not there; what the lookup throws
   */
  async kubeletOf(pod: PodObject, lookup: LookupOptions): Promise<Backend> {
    const node = nodeOf(pod);
    if (node === undefined) throw badRequest(`pod ${pod.metadata?.name ?? ''} does not have a host assigned`);
    const kubelet = this.#backends.kubelet(await this.#node(node, lookup));
    return this.#found(kubelet, lookup, { kind: 'node', name: node });
  }

  #found(backend: Backend, lookup: LookupOptions, ...by: readonly LookedUp[]): Backend {
    const onUnreachable = (): void => {
      for (const each of by) this.#resolver.forget?.(each, lookup);
    };
    return { ...backend, onUnreachable };
  }

  async #node(name: string, lookup: LookupOptions): Promise<NodeObject> {
    const node = await this.#resolver.node(name, lookup);
    if (node === undefined) throw notFound('nodes', name);
    // By this name the dialer is asked for it.
    return { ...node, metadata: { name } };
  }

  #firstIpAddress({ status }: NodeObject): string {
    const addresses = this.#backends.addressTypes.flatMap((type) =>
      (status?.addresses ?? []).filter((address) => address.type === type),
    );
    return addresses.find(({ address }) => isIP(address) !== 0)?.address ?? '';
  }
}

/** kube-apiserver finds out by dialling, and would try names of services, too (`http`), which its own resolver knows. */
function portIn(kind: TargetKind, text: string, port: string): number {
  const number = portNumberIn(port);
  if (number === undefined) throw badRequest(`invalid ${kind} request ${quoted(text)}`);
  return number;
}

/** Of a pod with two families of addresses, the primary one. */
const addressOf = ({ status }: PodObject): string => status?.podIPs?.[0]?.ip ?? status?.podIP ?? '';

const nodeOf = ({ spec }: PodObject): string | undefined =>
  spec?.nodeName === '' ? undefined : spec?.nodeName;

const firstPortOf = ({ spec }: PodObject): number | undefined =>
  spec?.containers?.find(({ ports }) => ports !== undefined && ports.length > 0)?.ports?.[0]?.containerPort;

function portNameOf({ spec }: ServiceObject, service: string, number: string): string {
  const found = spec?.ports?.find(({ port }) => String(port) === number);
  if (found !== undefined) return found.name ?? '';
  throw unavailable(`no service port ${number} found for service ${quoted(service)}`);
}

/** Whoever may write endpoints could have them point anywhere, if it did not have to be a pod's address. */
function isOf({ address }: EndpointChoice, { status }: PodObject): boolean {
  return status?.podIPs?.some(({ ip }) => ip === address) ?? status?.podIP === address;
}
