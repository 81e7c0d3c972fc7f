import type { IncomingMessage } from 'node:http';
import type { Access, Caller } from './access.js';
import { attributesOf } from './attributes.js';
import type { Exchange, ProxyRequest, ProxyResponse, UpgradeExchange } from './exchange.js';
import { ClientTask, type ClientEnd } from './client-task.js';
import { isUpgrade } from './upgrade/is-upgrade.js';
import { routeOf, type Route, type RouteKind } from './routes.js';
import { splitUrl } from './split-url.js';
import { StatusError } from './status-error.js';

/** A node-bound request of somebody who may make it. */
export interface Task<Of extends Route = Route> {
  readonly route: Of;
  readonly caller: Caller;
  readonly method: string;
  readonly query: URLSearchParams;
  /** The query as it was written: empty, or with its `?`. */
  readonly search: string;
  /** Aborted when the client is gone. */
  readonly signal: AbortSignal;
  /** To be told the status that an upgrade is answered with, unless a {@link StatusError} tells it. */
  readonly onAnswer: (status: number) => void;
}

/** One of a kind, or of several. */
export type TaskOf<Kind extends RouteKind> = Task<Extract<Route, { kind: Kind }>>;

/** What serves one kind of node-bound request. Both throw {@link StatusError} as long as nothing has been answered. */
export interface Service<Kind extends RouteKind = RouteKind> {
  request(exchange: Exchange, task: TaskOf<Kind>): Promise<void>;
  upgrade(upgrade: UpgradeExchange, task: TaskOf<Kind>): Promise<void>;
}

/** One service for each kind. */
export type Services = { readonly [Kind in RouteKind]?: Service<Kind> };

/** What comes before any service: whose request it is, and whether they may. */
export class NodeBound {
  readonly #access: Access;
  readonly #services: Services;

  constructor(access: Access, services: Services) {
    this.#access = access;
    this.#services = services;
  }

  /** The route of a request, if there is a service for it. */
  routeOf(request: ProxyRequest): Route | undefined {
    const route = routeOf(splitUrl(request.url).path);
    return route !== undefined && this.#services[route.kind] !== undefined ? route : undefined;
  }

  /** @throws {@link StatusError} what the client is to be answered, unless it has been */
  async request(
    exchange: { readonly request: ProxyRequest; readonly response: ProxyResponse },
    route: Route,
    caller: Caller,
  ): Promise<void> {
    const asked = { route, caller, onAnswer: () => undefined };
    await this.#serve(exchange.request, exchange.response, asked, (service, task) =>
      service.request(exchange, task),
    );
  }

  /** @throws {@link StatusError} what the client is to be answered, unless it has been */
  async upgrade(
    upgrade: UpgradeExchange,
    route: Route,
    caller: Caller,
    onAnswer: (status: number) => void = () => undefined,
  ): Promise<void> {
    await this.#serve(upgrade.request, upgrade.socket, { route, caller, onAnswer }, (service, task) =>
      service.upgrade(upgrade, task),
    );
  }

  async #serve(
    request: ProxyRequest | IncomingMessage,
    client: ClientEnd,
    asked: Pick<Task, 'route' | 'caller' | 'onAnswer'>,
    serve: (service: Service, task: Task) => Promise<void>,
  ): Promise<void> {
    const task = new ClientTask(request, client, asked);
    const { route } = asked;
    try {
      task.throwIfGone();
      for (const attributes of attributesOf(route, task.method, isUpgrade(request)))
        await this.#access.authorize(attributes, task);
      if (task.query.get('dryRun')) throw new StatusError(400, 'BadRequest', 'dryRun is not supported');
      await serve(this.#services[route.kind] as Service, task);
    } finally {
      task.end();
    }
  }
}
