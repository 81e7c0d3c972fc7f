import { isObjectName, pathOf } from '../kubelet/names.js';
import { milliseconds, objectOf, oneOf, withDefault, type Check } from '../validation.js';
import type { Caller } from './access.js';
import type {
  LookedUp,
  LookupOptions,
  NodeObject,
  PodObject,
  Resolver,
  ServiceEndpoint,
  ServiceObject,
} from './resolver.js';
import { StatusError } from './status-error.js';
import { LookupCache } from './targets/lookup-cache.js';
import {
  primaryFamilyOf,
  readEndpoints,
  readNode,
  readPod,
  readService,
  readSlices,
} from './targets/read-objects.js';
import { unavailable } from './targets/refusals.js';

/** What is asked of an upstream; an {@link UpstreamClient} is one. */
export interface UpstreamApi {
  /**
   * Gets an answer in JSON.
   *
   * @param path - path and query
   * @throws {@link StatusError} when the upstream refuses, or cannot be asked; the reason of the signal
   */
  json(
    path: string,
    question: { readonly as: Caller | 'proxy'; readonly signal?: AbortSignal | undefined },
  ): Promise<unknown>;
}

/** In whose name something is looked up. */
export type LookupIdentity = 'caller' | 'proxy';

/** Options of {@link upstreamResolver}. */
export interface UpstreamResolverOptions {
  /**
   * How long an answer is not asked for again, in milliseconds; about pods and endpoints, whose addresses others may have soon, for a second
   * at most. Default: 5000.
   */
  cacheMs?: number | undefined;
  /**
   * Who asks for pods, services and their endpoints. `caller` needs a caller who may `get` pods and services and `list` endpointslices,
   * `proxy` a proxy that may. Default: `proxy`, as in kube-apiserver, where who may exec need not be allowed to get pods.
   */
  lookupsAs?: LookupIdentity | undefined;
  /**
   * Who asks for nodes. Those who may read a pod's log may seldom `get` its node. Default: `proxy`.
   */
  nodesAs?: LookupIdentity | undefined;
}

/** kube-apiserver looks pods up anew for each request. */
const MAX_POD_CACHE_MS = 1000;

/** Of each kind. */
const MAX_KNOWN = 1024;

const checkOptions = objectOf({
  cacheMs: withDefault(milliseconds(), 5000),
  lookupsAs: withDefault(oneOf('caller', 'proxy'), 'proxy'),
  nodesAs: withDefault(oneOf('caller', 'proxy'), 'proxy'),
} satisfies Record<keyof UpstreamResolverOptions, Check<unknown>>);

type Settings = ReturnType<typeof checkOptions>;

interface KnownService {
  readonly service: ServiceObject;
  readonly primaryFamily: string | undefined;
}

/**
 * Looks things up in an upstream's API. Several who want to know the same at once share one request; what is there is remembered for a short
 * while, apart for each caller when they ask themselves. What no object can be called is not there, and not asked for.
 *
 * A refusal (403) of the upstream is the caller's, with its message, when the caller has asked.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function upstreamResolver(upstream: UpstreamApi, options: UpstreamResolverOptions = {}): Resolver {
  return new UpstreamResolver(upstream, checkOptions(options, ''));
}

class UpstreamResolver implements Resolver {
  readonly #upstream: UpstreamApi;
  readonly #settings: Settings;
  readonly #nodes: LookupCache<NodeObject>;
  readonly #pods: LookupCache<PodObject>;
  readonly #services: LookupCache<KnownService>;
  readonly #endpoints: LookupCache<readonly ServiceEndpoint[]>;

  constructor(upstream: UpstreamApi, settings: Settings) {
    const limits = { cacheMs: settings.cacheMs, max: MAX_KNOWN };
    this.#upstream = upstream;
    this.#settings = settings;
    this.#nodes = new LookupCache(limits);
    const brief = { ...limits, cacheMs: Math.min(settings.cacheMs, MAX_POD_CACHE_MS) };
    this.#pods = new LookupCache(brief);
    this.#services = new LookupCache(limits);
    this.#endpoints = new LookupCache(brief);
  }

  async node(name: string, asker: LookupOptions): Promise<NodeObject | undefined> {
    if (!isObjectName(name)) return undefined;
    const as = this.#settings.nodesAs === 'proxy' ? 'proxy' : asker.caller;
    const ask = (given: AbortSignal) => this.#read(pathOf('api', 'v1', 'nodes', name), as, given, readNode);
    return this.#nodes.get(keyOf(as, name), ask, asker);
  }

  async pod(namespace: string, name: string, asker: LookupOptions): Promise<PodObject | undefined> {
    if (!isObjectName(namespace) || !isObjectName(name)) return undefined;
    const as = this.#asker(asker.caller);
    const ask = (given: AbortSignal) => {
      const path = pathOf('api', 'v1', 'namespaces', namespace, 'pods', name);
      return this.#read(path, as, given, readPod);
    };
    return this.#pods.get(keyOf(as, namespace, name), ask, asker);
  }

  async service(namespace: string, name: string, lookup: LookupOptions): Promise<ServiceObject | undefined> {
    return (await this.#service(namespace, name, lookup))?.service;
  }

  async endpoints(
    namespace: string,
    service: string,
    lookup: LookupOptions,
  ): Promise<readonly ServiceEndpoint[]> {
    const known = await this.#service(namespace, service, lookup);
    if (known === undefined) return [];
    const as = this.#asker(lookup.caller);
    const ask = async (given: AbortSignal) => {
      const found = await this.#askForEndpoints(namespace, service, known, { as, signal: given });
      return found.length === 0 ? undefined : found;
    };
    return (await this.#endpoints.get(keyOf(as, namespace, service), ask, lookup)) ?? [];
  }

  forget({ kind, namespace = '', name }: LookedUp, { caller }: LookupOptions): void {
    if (kind === 'node')
      this.#nodes.forget(keyOf(this.#settings.nodesAs === 'proxy' ? 'proxy' : caller, name));
    const key = keyOf(this.#asker(caller), namespace, name);
    if (kind === 'pod') this.#pods.forget(key);
    if (kind === 'service') {
      this.#services.forget(key);
      this.#endpoints.forget(key);
    }
  }

  async #service(namespace: string, name: string, asker: LookupOptions): Promise<KnownService | undefined> {
    if (!isObjectName(namespace) || !isObjectName(name)) return undefined;
    const as = this.#asker(asker.caller);
    const path = pathOf('api', 'v1', 'namespaces', namespace, 'services', name);
    const read = (answer: unknown): KnownService => ({
      service: readService(answer),
      primaryFamily: primaryFamilyOf(answer),
    });
    const ask = (given: AbortSignal) => this.#read(path, as, given, read);
    return this.#services.get(keyOf(as, namespace, name), ask, asker);
  }

  async #askForEndpoints(
    namespace: string,
    service: string,
    { primaryFamily }: KnownService,
    { as, signal }: { readonly as: Caller | 'proxy'; readonly signal: AbortSignal },
  ): Promise<readonly ServiceEndpoint[]> {
    const selector = encodeURIComponent(`kubernetes.io/service-name=${service}`);
    const slices = pathOf('apis', 'discovery.k8s.io', 'v1', 'namespaces', namespace, 'endpointslices');
    const path = `${slices}?labelSelector=${selector}`;
    const found = await this.#read(path, as, signal, (answer) => readSlices(answer, primaryFamily));
    if (found !== undefined) return found;
    // Of a list, 404 says that the cluster is too old to have any.
    const old = pathOf('api', 'v1', 'namespaces', namespace, 'endpoints', service);
    return (await this.#read(old, as, signal, readEndpoints)) ?? [];
  }

  #asker(caller: Caller): Caller | 'proxy' {
    return this.#settings.lookupsAs === 'proxy' ? 'proxy' : caller;
  }

  async #read<T>(
    path: string,
    as: Caller | 'proxy',
    signal: AbortSignal,
    read: (answer: unknown) => T,
  ): Promise<T | undefined> {
    try {
      return read(await this.#upstream.json(path, { as, signal }));
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      if (error.code === 404) return undefined;
      if (error.code === 403 && as === 'proxy') throw refusedToProxy(error);
      throw error;
    }
  }
}

/** Those who may do different things must not share what they have seen. No name of an object has a slash. */
const keyOf = (as: Caller | 'proxy', ...names: readonly string[]): string =>
  `${names.join('/')}/${as === 'proxy' ? '' : as.key}`;

/** Whoever asks the proxy has done nothing wrong. */
function refusedToProxy(refusal: StatusError): StatusError {
  const problem = `the API server refuses a lookup to the proxy: ${refusal.message}; bind it to a role that may`;
  const { code, reason } = unavailable('');
  return new StatusError(code, reason, problem, { cause: refusal });
}
