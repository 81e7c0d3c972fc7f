import type { Agent } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions, type RequestOptions } from 'node:https';
import { isDeepStrictEqual } from 'node:util';
import { KubeConfig, type Cluster, type RequestContext } from '@kubernetes/client-node';
import type { Dialer } from '../dialer.js';
import { InvalidOptionError } from '../errors.js';
import { retire } from '../http/agent-sockets.js';
import { httpAgent } from '../http/http-agent.js';
import { httpsAgent } from '../http/https-agent.js';
import { undiciConnector, type UndiciConnector } from '../http/undici-connector.js';

export interface TunnelKubeConfigOptions {
  /** Name of the node that must carry the connections. Default: routed by the host of the cluster's server, as `dial` does. */
  node?: string | undefined;
  /** How long the API server may take for the TLS handshake, once it was reached, in milliseconds. Default: 10 000. */
  tlsHandshakeTimeoutMs?: number | undefined;
}

/** What a kubeconfig says about TLS. */
type TlsOptions = Pick<AgentOptions, (typeof TLS_OPTIONS)[number]>;

const TLS_OPTIONS = ['ca', 'cert', 'key', 'pfx', 'passphrase', 'rejectUnauthorized', 'servername'] as const;

interface Closable {
  close(): Promise<void>;
}

/** Of client-node 2, whose requests go by undici in place of an agent. */
interface DispatchedContext {
  getDispatcher(): Closable | undefined;
  setDispatcher(dispatcher: Closable | undefined): void;
}

/** What was made for one set of credentials, to be used again until they change. */
interface Made<T> {
  readonly kind: 'http' | 'https';
  readonly tls: TlsOptions;
  readonly it: T;
}

/**
 * A `KubeConfig` of `@kubernetes/client-node` (1.4 or 2) whose cluster is reached through a dialer: by the generated API clients, and by
 * `Watch`, `Log`, `Exec`, `Attach`, `PortForward` and `Cp`. It is loaded and used as any other; connections are kept for later requests as
 * long as the credentials are the same. The API server's certificate is verified as the kubeconfig says, against the host of the cluster's
 * `server`, or its `tls-server-name`.
 *
 * `cpFromPod` of client-node 1.4.0 is broken by itself, tunnel or not (kubernetes-client/javascript#2663).
 * Plugins that ask an identity provider for credentials go their own way, not through the dialer.
 *
 * @example
 * ```ts
 * const config = new TunnelKubeConfig(dialer);
 * config.loadFromDefault();
 * const pods = await config.makeApiClient(CoreV1Api).listPodForAllNamespaces();
 * ```
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`; so does a request where the kubeconfig has a `proxy-url`, or credentials
 * that cannot be used
 */
export class TunnelKubeConfig extends KubeConfig {
  readonly #dialer: Dialer;
  readonly #options: TunnelKubeConfigOptions;
  #agent: Made<Agent> | undefined;
  #connector: Made<UndiciConnector> | undefined;
  #dispatcher: { readonly connector: UndiciConnector; readonly it: Closable } | undefined;

  constructor(dialer: Dialer, options: TunnelKubeConfigOptions = {}) {
    super();
    // Judges both arguments, now and not at the first request.
    httpsAgent(dialer, options);
    this.#dialer = dialer;
    this.#options = options;
  }

  override async applyToHTTPSOptions(options: RequestOptions): Promise<void> {
    this.#refuseProxy();
    await super.applyToHTTPSOptions(options);
    options.agent = this.#agentFor(options.agent, tlsOptionsOf(options));
  }

  override async applySecurityAuthentication(context: RequestContext): Promise<void> {
    this.#refuseProxy();
    await super.applySecurityAuthentication(context);
    if (isDispatched(context)) context.setDispatcher(this.#dispatcherFor(context.getDispatcher()));
    else {
      const agent: unknown = context.getAgent();
      context.setAgent(this.#agentFor(agent, agent instanceof HttpsAgent ? tlsOptionsOf(agent.options) : {}));
    }
  }

  /**
   * Called by client-node 2, which makes an agent of its own undici by it.
   *
   * @internal
   */
  createDispatcherOptions(cluster: Cluster | null, options: AgentOptions): object {
    const kind = cluster?.server.startsWith('http:') ? 'http' : 'https';
    if (kind === 'http' && !cluster?.skipTLSVerify) throw plainText();
    const tls = tlsOptionsOf(options);
    const current = unlessChanged(this.#connector, kind, tls);
    const it = current ?? undiciConnector(this.#dialer, { ...this.#options, ...tls });
    this.#connector = { kind, tls, it };
    return { type: 'agent', connect: it };
  }

  /** In place of the one that the library has made. */
  #agentFor(theirs: unknown, tls: TlsOptions): Agent {
    const kind = theirs instanceof HttpsAgent ? 'https' : 'http';
    const current = unlessChanged(this.#agent, kind, tls);
    if (current !== undefined) return current;
    const { node } = this.#options;
    const it =
      kind === 'http'
        ? httpAgent(this.#dialer, { node })
        : httpsAgent(this.#dialer, { ...this.#options, ...tls });
    if (this.#agent !== undefined) retire(this.#agent.it);
    this.#agent = { kind, tls, it };
    return it;
  }

  /** The library makes one for each request; what they keep would be of no use. */
  #dispatcherFor(theirs: Closable | undefined): Closable | undefined {
    const connector = this.#connector?.it;
    if (theirs === undefined || connector === undefined) return theirs;
    if (this.#dispatcher?.connector === connector) return this.#dispatcher.it;
    this.#dispatcher?.it.close().catch(() => undefined);
    this.#dispatcher = { connector, it: theirs };
    return theirs;
  }

  #refuseProxy(): void {
    if (this.getCurrentCluster()?.proxyUrl !== undefined)
      throw new InvalidOptionError(
        'proxy-url',
        'cannot be used with a tunnel: take it out of the kubeconfig',
      );
  }
}

function isDispatched(context: object): context is DispatchedContext {
  return 'setDispatcher' in context;
}

/** What was made, if it is for this. */
function unlessChanged<T>(made: Made<T> | undefined, kind: Made<T>['kind'], tls: TlsOptions): T | undefined {
  return made?.kind === kind && isDeepStrictEqual(made.tls, tls) ? made.it : undefined;
}

function tlsOptionsOf(options: TlsOptions): TlsOptions {
  const given = TLS_OPTIONS.filter((name) => options[name] !== undefined);
  return Object.fromEntries(given.map((name) => [name, options[name]]));
}

/** As the library itself says it. */
function plainText(): Error {
  return new Error('HTTP protocol is not allowed when skipTLSVerify is not set or false');
}
