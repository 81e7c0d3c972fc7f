import type { Backend } from '../backend.js';
import type { Exchange, ProxyRequest, UpgradeExchange } from '../exchange.js';
import type { Service, TaskOf } from '../node-bound.js';
import { relayPlain } from '../plain/relay-plain.js';
import {
  joinPath,
  parseTarget,
  redirectsToSlash,
  slashLocation,
  splitTarget,
  type SubresourceTarget,
} from '../plain/request-target.js';
import { sendRedirect } from '../send-redirect.js';
import { relayUpgrade } from '../upgrade/relay-upgrade.js';
import { reach } from './reach.js';

type Kind = 'node-proxy' | 'pod-proxy' | 'service-proxy';

/** The proxy of a node, pod or service. */
export class Proxied<Of extends Kind> implements Service<Of> {
  readonly #backendOf: (task: TaskOf<Of>) => Promise<Backend>;

  /** @param backendOf - where a request goes */
  constructor(backendOf: (task: TaskOf<Of>) => Promise<Backend>) {
    this.#backendOf = backendOf;
  }

  async request(exchange: Exchange, task: TaskOf<Of>): Promise<void> {
    const { request, response } = exchange;
    const { prefix, rest } = targetOf(request, task.route);
    if (redirectsToSlash(task.method, rest)) {
      sendRedirect(response, slashLocation(parseTarget(request.url ?? '/')));
      return;
    }
    const backend = await this.#backendOf(task);
    const path = `${joinPath(rest)}${task.search}`;
    await reach(backend, () => relayPlain({ exchange, backend, path, prefix, rewrites: true }));
  }

  /** Unlike kube-apiserver's, it does not lose the query on the way (kubernetes/kubernetes#77142). */
  async upgrade(upgrade: UpgradeExchange, task: TaskOf<Of>): Promise<void> {
    const { rest } = targetOf(upgrade.request, task.route);
    const backend = await this.#backendOf(task);
    const path = `${joinPath(rest)}${task.search}`;
    const { signal, onAnswer } = task;
    await reach(backend, () => relayUpgrade({ upgrade, backend, path, signal, onAnswer }));
  }
}

const targetOf = ({ url = '/' }: Pick<ProxyRequest, 'url'>, route: { prefix: string }): SubresourceTarget =>
  splitTarget(parseTarget(url), route.prefix.split('/').length - 1);
