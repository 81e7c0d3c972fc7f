import type { FaultyLink, Impairment, LinkKind, Way } from './faulty-link.js';
import { startFaultProxy, type FaultProxy } from './fault-proxy.js';
import { seededRandom } from './seeded-random.js';
import { knownHostsText } from './ssh-keys.js';
import type { Sshd, SshAccess } from './sshd.js';
import { ownSshd } from './applicability.js';
import { acquireTarget } from './target.js';

/** Apart from the addresses that sshd and proxy listen on, so that a pod network may hold it. */
const ENDPOINT_ADDRESS = '127.0.0.3';

/** How often the delay of what arrives changes. */
const JITTER_EVERY_MS = 10;

/** What TCP makes of a lost packet that nothing follows: Linux sends it again after 200 ms at the earliest. */
const LOSS_STALL_MS = 200;

/** A link made of a TCP proxy: what TCP lets its users feel of a network's faults. */
class ProxyLink implements FaultyLink {
  readonly place = { listenHost: ENDPOINT_ADDRESS, endpointHost: ENDPOINT_ADDRESS };
  readonly sshd: Sshd;
  readonly access: SshAccess;
  readonly #proxy: FaultProxy;
  #impairment: NodeJS.Timeout | undefined;

  constructor(sshd: Sshd, proxy: FaultProxy) {
    this.sshd = sshd;
    this.#proxy = proxy;
    const { username, privateKey, hostKeys } = sshd;
    const { host, port } = proxy;
    const knownHosts = knownHostsText(host, port, hostKeys);
    this.access = { username, privateKey, hostKeys, address: host, port, knownHosts };
  }

  partition(ways: readonly Way[]): Promise<void> {
    for (const way of ways) this.#proxy[way].pause();
    return Promise.resolve();
  }

  /** Bytes of a TCP connection are never lost, but late: a lost packet holds up those behind it. */
  impair({ lossPercent = 0, delayMs = 0, jitterMs = 0 }: Impairment): Promise<void> {
    const random = seededRandom(1);
    clearInterval(this.#impairment);
    this.#impairment = setInterval(() => {
      for (const way of ['up', 'down'] as const) {
        const stallMs = random() * 100 < lossPercent ? LOSS_STALL_MS : 0;
        this.#proxy[way].delay(delayMs + (2 * random() - 1) * jitterMs + stallMs);
      }
    }, JITTER_EVERY_MS);
    return Promise.resolve();
  }

  heal(): Promise<void> {
    clearInterval(this.#impairment);
    for (const way of ['up', 'down'] as const) this.#proxy[way].delay(0);
    this.#proxy.resume();
    return Promise.resolve();
  }

  reset(): Promise<void> {
    this.#proxy.cut('rst');
    return Promise.resolve();
  }

  /** No answer comes from an address that is nobody's. */
  removeAddress(): Promise<void> {
    return this.partition(['up', 'down']);
  }

  restoreAddress(): Promise<void> {
    return this.heal();
  }

  async close(): Promise<void> {
    clearInterval(this.#impairment);
    await this.#proxy.close();
    await this.sshd.close();
  }
}

/** Links made of a TCP proxy. They need no rights. */
export const proxyLinks: LinkKind = {
  name: 'a proxy',
  // The network is what is tested, and not the target.
  needs: [ownSshd],
  start: async (options) => {
    const sshd = await acquireTarget(options);
    return new ProxyLink(sshd, await startFaultProxy({ host: sshd.address, port: sshd.port }));
  },
};
