import type { Agent } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Dialer } from '../../dialer.js';
import { formatEndpoint, InvalidOptionError } from '../../errors.js';
import { retire } from '../../http/agent-sockets.js';
import { httpAgent } from '../../http/http-agent.js';
import { httpsAgent } from '../../http/https-agent.js';
import { endpointOf, type KubeletAddressType, type KubeletEndpoint } from '../../kubelet/kubelet-node.js';
import { accessFrom } from '../../kubelet/kubelet-access.js';
import { checkDialer } from '../../validation.js';
import type { Backend } from '../backend.js';
import type { NodeObject } from '../resolver.js';
import { StatusError } from '../status-error.js';
import { checkBackendsOptions, type BackendsOptions, type BackendsSettings } from './backend-options.js';
import { openConnection, type ConnectionEndpoint } from './connection.js';
import { keepAtMost } from './kept-connections.js';
import { RecentlyUsed } from './recently-used.js';
import { unavailable } from './refusals.js';

type Scheme = Backend['scheme'];

/** How long a connection is kept for the next request, in milliseconds. Each takes a channel of the node's SSH connections. */
const KEPT_MS = 60_000;
/** As many requests at once find a connection to their pod that is up. */
const MAX_KEPT = 32;
/** For all pods of a node together: a few connections to each of them must not take up all channels. */
const MAX_KEPT_OF_NODE = 64;

const DEFAULT_PORTS: Readonly<Record<Scheme, number>> = { http: 80, https: 443 };

interface KubeletAgent {
  readonly endpoint: KubeletEndpoint;
  readonly agent: Agent;
}

/** The connections that requests take to kubelets, pods and endpoints of services: kept for the next one, those of a node together. */
export class Backends {
  /** Which address of a node is dialled: the first of the first type that it has. */
  readonly addressTypes: readonly KubeletAddressType[];
  readonly #dialer: Dialer;
  readonly #settings: BackendsSettings;
  readonly #kubelets: RecentlyUsed<KubeletAgent>;
  /** By scheme and node. */
  readonly #plain: RecentlyUsed<Agent>;
  #isClosed = false;

  /** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
  constructor(dialer: Dialer, options: BackendsOptions) {
    checkDialer(dialer);
    this.#dialer = dialer;
    this.#settings = checkBackendsOptions(dialer, options);
    const { maxNodes, addressTypes } = this.#settings;
    this.addressTypes = addressTypes;
    this.#kubelets = new RecentlyUsed(maxNodes, ({ agent }) => retire(agent));
    this.#plain = new RecentlyUsed(2 * maxNodes, retire);
  }

  /**
   * The kubelet of a node, which carries the connections. When its address has changed, those to the former one are not used for new requests.
   *
   * @throws {@link StatusError} 500 if the node has no address of the types that are asked for, 503 after {@link Backends.close}
   */
  kubelet(node: NodeObject): Backend {
    this.#refuseIfClosed();
    const endpoint = this.#kubeletOf(node);
    const { host, port } = endpoint;
    return backend('https', { host, port, authority: formatEndpoint(host, port) }, this.#agentFor(endpoint));
  }

  /**
   * A pod, an endpoint of a service, or another port of a node. Whatever certificate it shows is accepted, as by kube-apiserver.
   *
   * @param host - an IP address that was found good
   * @param port - none: that of the scheme, and not in the authority
   * @param node - which node carries it. Default: routed by `host`
   * @throws {@link StatusError} 503 after {@link Backends.close}
   */
  plain(scheme: '' | Scheme, host: string, port: number | undefined, node?: string): Backend {
    this.#refuseIfClosed();
    const known = scheme === '' ? 'http' : scheme;
    const authority =
      port === undefined ? (host.includes(':') ? `[${host}]` : host) : formatEndpoint(host, port);
    const agent = this.#plain.get(`${known}:${node ?? ''}`, () => this.#makePlain(known, node));
    return backend(known, { host, port: port ?? DEFAULT_PORTS[known], authority }, agent);
  }

  /** Hands out no more, and ends the connections that are kept; what is under way goes on. */
  close(): void {
    this.#isClosed = true;
    this.#kubelets.clear();
    this.#plain.clear();
  }

  #kubeletOf(node: NodeObject): KubeletEndpoint {
    try {
      return endpointOf(node, this.addressTypes, this.#settings.kubelet.port);
    } catch (error) {
      if (!(error instanceof InvalidOptionError)) throw error;
      throw new StatusError(500, '', error.message, { cause: error });
    }
  }

  #agentFor(endpoint: KubeletEndpoint): Agent {
    const { node, host, port } = endpoint;
    const kept = this.#kubelets.get(node, () => this.#makeKubelet(endpoint));
    if (kept.endpoint.host === host && kept.endpoint.port === port) return kept.agent;
    this.#kubelets.delete(node);
    return this.#kubelets.get(node, () => this.#makeKubelet(endpoint)).agent;
  }

  #makeKubelet(endpoint: KubeletEndpoint): KubeletAgent {
    const { node: name, host: address, port } = endpoint;
    const { agent } = accessFrom(this.#dialer, {
      ...this.#settings.kubelet,
      node: { name, address, port },
    });
    return { endpoint, agent };
  }

  #makePlain(scheme: Scheme, node: string | undefined): Agent {
    const options = { node, timeout: KEPT_MS, maxFreeSockets: MAX_KEPT };
    const agent =
      scheme === 'http'
        ? httpAgent(this.#dialer, options)
        : httpsAgent(this.#dialer, { ...options, rejectUnauthorized: false });
    keepAtMost(agent, MAX_KEPT_OF_NODE);
    return agent;
  }

  #refuseIfClosed(): void {
    if (this.#isClosed) throw unavailable('the proxy is shutting down');
  }
}

function backend(
  scheme: Scheme,
  { host, port, authority }: Omit<ConnectionEndpoint, 'scheme'> & { readonly authority: string },
  agent: Agent,
): Backend {
  const connect = (signal?: AbortSignal): Promise<Duplex> =>
    openConnection(agent, { scheme, host, port }, signal);
  return { scheme, host, port, authority, agent, connect };
}
