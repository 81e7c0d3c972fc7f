import type { UpgradeExchange } from '../exchange.js';
import type { Service, TaskOf } from '../node-bound.js';
import { containerOf } from '../pods/containers.js';
import { execParameters, portForwardParameters } from '../pods/stream-query.js';
import { isTranslated, translateStreams } from '../translate/translate-streams.js';
import { isTunnelled, tunnelPortForward } from '../translate/tunnel-port-forward.js';
import { upgradeRequired } from '../upgrade/is-upgrade.js';
import { relayUpgrade } from '../upgrade/relay-upgrade.js';
import { kubeletPath, type Pods } from './pods.js';
import { reach } from './reach.js';

/** Exec and attach. What newer clients speak is translated into what every kubelet understands. */
export class PodStreams implements Service<'pod-exec' | 'pod-attach'> {
  readonly #pods: Pods;

  constructor(pods: Pods) {
    this.#pods = pods;
  }

  request(): Promise<void> {
    return Promise.reject(upgradeRequired());
  }

  async upgrade(upgrade: UpgradeExchange, task: TaskOf<'pod-exec' | 'pod-attach'>): Promise<void> {
    const { route, query, signal, onAnswer } = task;
    const isExec = route.kind === 'pod-exec';
    const pod = await this.#pods.find(task);
    const container = containerOf(pod, route.name, query.get('container') ?? undefined);
    const backend = await this.#pods.kubeletOf(pod, task);
    const parameters = execParameters(query, { withCommand: isExec });
    const path = kubeletPath(isExec ? 'exec' : 'attach', route, container, parameters);
    const relay = isTranslated(upgrade.request) ? translateStreams : relayUpgrade;
    await reach(backend, () => relay({ upgrade, backend, path, signal, onAnswer }));
  }
}

/** Port-forward. SPDY in a WebSocket is taken out of it, which kubelets before 1.36 do not do. */
export class PodPortForward implements Service<'pod-portforward'> {
  readonly #pods: Pods;

  constructor(pods: Pods) {
    this.#pods = pods;
  }

  request(): Promise<void> {
    return Promise.reject(upgradeRequired());
  }

  async upgrade(upgrade: UpgradeExchange, task: TaskOf<'pod-portforward'>): Promise<void> {
    const { route, query, signal, onAnswer } = task;
    const pod = await this.#pods.find(task);
    const backend = await this.#pods.kubeletOf(pod, task);
    const path = kubeletPath('portForward', route, undefined, portForwardParameters(query));
    const relay = isTunnelled(upgrade.request) ? tunnelPortForward : relayUpgrade;
    await reach(backend, () => relay({ upgrade, backend, path, signal, onAnswer }));
  }
}
