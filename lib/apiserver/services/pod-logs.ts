import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Exchange, UpgradeExchange } from '../exchange.js';
import type { Service, TaskOf } from '../node-bound.js';
import { containerOf } from '../pods/containers.js';
import { logRequestOf } from '../pods/log-query.js';
import { openLog } from '../pods/open-log.js';
import { serveLogOverWebSocket } from '../upgrade/log-over-web-socket.js';
import { kubeletPath, type Pods } from './pods.js';
import { reach } from './reach.js';

/** Logs, which are no proxy: the kubelet is asked anew, and nothing of the client's request goes along. */
export class PodLogs implements Service<'pod-log'> {
  readonly #pods: Pods;

  constructor(pods: Pods) {
    this.#pods = pods;
  }

  async request({ response }: Exchange, task: TaskOf<'pod-log'>): Promise<void> {
    const log = await this.#open(task);
    // HTTP/2 has the same calls, with other types.
    const http1 = response as ServerResponse;
    if (log === undefined) {
      http1.writeHead(204).end();
      return;
    }
    http1.writeHead(200, { 'content-type': 'text/plain', 'cache-control': 'no-cache, private' });
    http1.flushHeaders();
    await pipeline(log, http1);
  }

  async upgrade(upgrade: UpgradeExchange, task: TaskOf<'pod-log'>): Promise<void> {
    const log = await this.#open(task);
    task.onAnswer(101);
    await serveLogOverWebSocket(upgrade, log ?? Readable.from([]));
  }

  /** Nothing if the pod has no node yet. */
  async #open(task: TaskOf<'pod-log'>): Promise<IncomingMessage | undefined> {
    const { route, query, signal } = task;
    const { container: wanted, parameters } = logRequestOf(route.name, query);
    const pod = await this.#pods.find(task);
    const container = containerOf(pod, route.name, wanted);
    if (!pod.spec?.nodeName) return undefined;
    const kubelet = await this.#pods.kubeletOf(pod, task);
    const path = kubeletPath('containerLogs', route, container, parameters);
    return reach(kubelet, () => openLog(kubelet, path, signal));
  }
}
