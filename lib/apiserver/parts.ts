import type { Dialer } from '../dialer.js';
import { checkDialer } from '../validation.js';
import type { Access } from './access.js';
import { ReviewedAccess, type ReviewedAccessOptions } from './access/reviewed-access.js';
import { atOption } from './at-option.js';
import { Capacity } from './capacity.js';
import { checkPartsOptions } from './options.js';
import type { Resolver } from './resolver.js';
import type { KubeletBackendOptions } from './targets/backend-options.js';
import { Backends } from './targets/backends.js';
import { Targets } from './targets/targets.js';
import { upstreamResolver } from './upstream-resolver.js';
import type { UpstreamClientOptions } from './upstream/options.js';
import { UpstreamClient } from './upstream/upstream-client.js';

/** Options of {@link apiserverParts}. */
export interface ApiserverPartsOptions {
  /** The kube-apiserver that knows who may do what, and what there is. */
  upstream: UpstreamClientOptions;
  /** How kubelets are verified, and the client certificate that they are shown. */
  kubelet: KubeletBackendOptions;
  /**
   * Whose rights look pods and services up: `'proxy'`, as in kube-apiserver, where who may exec need not be allowed to get pods; or `'caller'`.
   * Nodes are looked up by the proxy always. Default: `'proxy'`.
   */
  lookupsAs?: 'proxy' | 'caller' | undefined;
  /** Authorities of callers' certificates, as of {@link ReviewedAccess}. Default: certificates count for nothing. */
  clientCertificateAuthority?: ReviewedAccessOptions['clientCertificateAuthority'];
  /** How long what was looked up is believed, in milliseconds; pods and endpoints for a second at most. Default: 5000. */
  lookupCacheMs?: number | undefined;
  /** Of how many nodes connections to kubelets and pods are kept. Default: 2000. */
  maxNodes?: number | undefined;
  /** How many requests there may be at once that are the upstream's, as of {@link CapacityOptions}; more are refused with 429. Default: 600. */
  maxRequests?: number | undefined;
  /** The same for watches, upgrades, and requests that need a node. Default: 10 000. */
  maxLongRunning?: number | undefined;
  /** Who callers are and what they may do. Default: what the upstream says. */
  access?: Access | undefined;
  /** Where nodes, pods and services are looked up. Default: at the upstream. */
  resolver?: Resolver | undefined;
}

/** What the handlers of a proxy share: connections, lookups, and what is known of callers. */
export interface ApiserverParts {
  readonly upstream: UpstreamClient;
  readonly access: Access;
  readonly resolver: Resolver;
  readonly targets: Targets;
  /** How many requests there may be. */
  readonly capacity: Capacity;
  /** Ends the connections that are kept, and begins no more; what is under way goes on. */
  close(): void;
}

/**
 * Makes what the handlers of a proxy of one's own share. Dials nothing yet.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function apiserverParts(dialer: Dialer, options: ApiserverPartsOptions): ApiserverParts {
  checkDialer(dialer);
  checkPartsOptions(options);
  const { lookupsAs, lookupCacheMs, kubelet, maxNodes, clientCertificateAuthority } = options;
  const { maxRequests, maxLongRunning } = options;
  const capacity = new Capacity({ maxRequests, maxLongRunning });
  const backends = new Backends(dialer, { kubelet, maxNodes });
  const upstream = atOption('upstream', () => new UpstreamClient(options.upstream));
  const access = options.access ?? new ReviewedAccess({ upstream, clientCertificateAuthority });
  const resolver = options.resolver ?? upstreamResolver(upstream, { cacheMs: lookupCacheMs, lookupsAs });
  return {
    upstream,
    access,
    resolver,
    targets: new Targets(resolver, backends),
    capacity,
    close: () => {
      backends.close();
      upstream.close();
    },
  };
}
