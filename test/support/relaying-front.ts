import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { NodeBound, type Service, type TaskOf } from '../../lib/apiserver/node-bound.js';
import { apiserverParts, type ApiserverProxyOptions } from '../../lib/apiserver/index.js';
import type { UpgradeExchange } from '../../lib/apiserver/exchange.js';
import { containerOf } from '../../lib/apiserver/pods/containers.js';
import { execParameters, portForwardParameters } from '../../lib/apiserver/pods/stream-query.js';
import { asStatusError } from '../../lib/apiserver/send-status.js';
import { kubeletPath, Pods } from '../../lib/apiserver/services/pods.js';
import { relayUpgrade } from '../../lib/apiserver/upgrade/relay-upgrade.js';
import { sendStatusOnSocket } from '../../lib/apiserver/upgrade/send-status.js';
import type { Dialer } from '../../lib/index.js';
import {
  partsOptions,
  startFront,
  startProxyFront,
  type FakeCluster,
  type Front,
} from './apiserver-front.js';

/** Exec and port-forward as bytes, whatever the client speaks. */
class Relayed implements Service<'pod-exec' | 'pod-portforward'> {
  readonly #pods: Pods;

  constructor(pods: Pods) {
    this.#pods = pods;
  }

  request(): Promise<void> {
    return Promise.reject(new Error('only upgrades are relayed'));
  }

  async upgrade(
    upgrade: UpgradeExchange,
    task: TaskOf<'pod-exec'> | TaskOf<'pod-portforward'>,
  ): Promise<void> {
    const { route, query, signal, onAnswer } = task;
    const pod = await this.#pods.find(task);
    const backend = await this.#pods.kubeletOf(pod, task);
    const path =
      route.kind === 'pod-exec'
        ? kubeletPath(
            'exec',
            route,
            containerOf(pod, route.name, query.get('container') ?? undefined),
            execParameters(query, { withCommand: true }),
          )
        : kubeletPath('portForward', route, undefined, portForwardParameters(query));
    await relayUpgrade({ upgrade, backend, path, signal, onAnswer });
  }
}

/**
 * Starts a proxy that translates nothing, as a kube-apiserver before 1.30 does not: what a kubelet refuses is refused to the client. Plain
 * requests are those of an `ApiserverProxy`.
 */
export async function startRelayingFront(
  dialer: Dialer,
  cluster: FakeCluster,
  { onAnswer }: Pick<ApiserverProxyOptions, 'onAnswer'> = {},
): Promise<Front> {
  const plain = await startProxyFront(dialer, cluster);
  const parts = apiserverParts(dialer, partsOptions(cluster));
  const relayed = new Relayed(new Pods(parts.resolver, parts.targets));
  const bound = new NodeBound(parts.access, { 'pod-exec': relayed, 'pod-portforward': relayed });

  async function relay(upgrade: UpgradeExchange): Promise<void> {
    const { request, socket } = upgrade;
    const method = request.method ?? '';
    const path = (request.url ?? '').replace(/\?.*/, '');
    const tell = (status: number): void =>
      onAnswer?.({ method, path, status, isUpgrade: true, user: undefined, from: undefined, durationMs: 0 });
    const route = bound.routeOf(request);
    if (route === undefined) throw new Error(`nothing relays ${path}`);
    await bound.upgrade(
      { request, socket, head: upgrade.head },
      route,
      await parts.access.authenticate(request),
      tell,
    );
  }

  const front = await startFront(cluster.apiServer, {
    request: plain.proxy.request,
    upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => undefined);
      relay({ request, socket, head }).catch((error: unknown) => {
        sendStatusOnSocket(socket, asStatusError(error));
      });
    },
  });
  return {
    url: front.url,
    async close() {
      await front.close();
      await plain.close();
      parts.close();
    },
  };
}
