import type { TlsCredentials } from '../../tls/tls-source.js';
import { UpstreamAgent, type UpstreamEndpoint } from './upstream-agent.js';

/** In whose name a connection is made: the proxy's, which shows its client certificate if it has one, or nobody's. */
export type Identity = 'proxy' | 'nobody';

interface Pair {
  readonly madeWith: TlsCredentials;
  readonly agents: Readonly<Record<Identity, UpstreamAgent>>;
}

/**
 * The agents for the upstream. Those who come with a token of their own must not go over a connection that has shown our certificate: an
 * API server looks at certificates first (k8s.io/apiserver, pkg/server/options/authentication.go and pkg/authentication/authenticatorfactory),
 * and would take them for us.
 *
 * When the credentials change, others take over; an API server judges the certificate of a connection anew with every request, so that
 * those with the former one would fail when it expires.
 */
export class UpstreamAgents {
  readonly #endpoint: UpstreamEndpoint;
  readonly #credentials: () => TlsCredentials;
  /** Those that may still have something to finish. */
  readonly #all = new Set<WeakRef<UpstreamAgent>>();
  #pair: Pair;

  constructor(endpoint: UpstreamEndpoint, credentials: () => TlsCredentials) {
    this.#endpoint = endpoint;
    this.#credentials = credentials;
    this.#pair = this.#make(credentials());
  }

  for(identity: Identity): UpstreamAgent {
    const credentials = this.#credentials();
    if (credentials !== this.#pair.madeWith) {
      for (const agent of Object.values(this.#pair.agents)) agent.retire();
      this.#pair = this.#make(credentials);
    }
    return this.#pair.agents[identity];
  }

  /** Cuts off every request. */
  destroy(): void {
    for (const reference of this.#all) reference.deref()?.destroy();
    for (const agent of Object.values(this.#pair.agents)) agent.retire();
  }

  #make(madeWith: TlsCredentials): Pair {
    const { ca } = madeWith;
    const agents = {
      proxy: new UpstreamAgent(this.#endpoint, madeWith),
      nobody: new UpstreamAgent(this.#endpoint, { ca }),
    };
    for (const reference of this.#all) if (reference.deref() === undefined) this.#all.delete(reference);
    for (const agent of Object.values(agents)) this.#all.add(new WeakRef(agent));
    return { madeWith, agents };
  }
}
