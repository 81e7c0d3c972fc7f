import type { RequestAttributes } from './access.js';
import type { Route, RouteKind } from './routes.js';
import { StatusError } from './status-error.js';

type Verb = RequestAttributes['verb'];

/** By method (apiserver, pkg/endpoints/request). A method that has no verb there is granted only to those who may do everything. */
const VERBS: Readonly<Record<string, Verb>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
  OPTIONS: '*',
};

const METHODS: Readonly<Record<RouteKind, readonly string[]>> = {
  'node-proxy': Object.keys(VERBS),
  'pod-proxy': Object.keys(VERBS),
  'service-proxy': Object.keys(VERBS),
  'pod-log': ['GET'],
  'pod-exec': ['GET', 'POST'],
  'pod-attach': ['GET', 'POST'],
  'pod-portforward': ['GET', 'POST'],
};

const SUBRESOURCES: Readonly<Record<RouteKind, Pick<RequestAttributes, 'resource' | 'subresource'>>> = {
  'node-proxy': { resource: 'nodes', subresource: 'proxy' },
  'pod-proxy': { resource: 'pods', subresource: 'proxy' },
  'service-proxy': { resource: 'services', subresource: 'proxy' },
  'pod-log': { resource: 'pods', subresource: 'log' },
  'pod-exec': { resource: 'pods', subresource: 'exec' },
  'pod-attach': { resource: 'pods', subresource: 'attach' },
  'pod-portforward': { resource: 'pods', subresource: 'portforward' },
};

/** Those that run or reach something in a pod, for which a GET counts as a POST, too. So does an upgrade at a node, whose kubelet runs commands. */
const STREAMING: ReadonlySet<RouteKind> = new Set(['pod-exec', 'pod-attach', 'pod-portforward']);

/**
 * What a caller must be allowed to do, all of it. A GET for a stream needs `create` beside `get`, as in Kubernetes from 1.35 on
 * (AuthorizePodWebsocketUpgradeCreatePermission): before, whoever could read pods could run commands in them by WebSocket.
 *
 * @param name - as in the path: with scheme and port where there are any, as RequestInfo has it
 * @throws {@link StatusError} 405
 */
export function attributesOf(route: Route, method: string, isUpgraded = false): readonly RequestAttributes[] {
  const verb = VERBS[method];
  if (verb === undefined || !METHODS[route.kind].includes(method))
    throw new StatusError(
      405,
      'MethodNotAllowed',
      'the server does not allow this method on the requested resource',
    );
  const { resource, subresource } = SUBRESOURCES[route.kind];
  const name = 'target' in route ? route.target : route.name;
  const attributes: RequestAttributes =
    'namespace' in route
      ? { verb, resource, subresource, namespace: route.namespace, name }
      : { verb, resource, subresource, name };
  const isStream = STREAMING.has(route.kind) || (isUpgraded && route.kind === 'node-proxy');
  return verb === 'get' && isStream ? [attributes, { ...attributes, verb: 'create' }] : [attributes];
}
