export type { Access, Caller, RequestAttributes } from './access.js';
export { ReviewedAccess, type ReviewedAccessOptions } from './access/reviewed-access.js';
export type { AnsweredRequest } from './answered-request.js';
export {
  ApiserverProxy,
  apiserverProxy,
  SERVER_OPTIONS,
  type ApiserverProxyOptions,
} from './apiserver-proxy.js';
export { Capacity, type CapacityOptions } from './capacity.js';
export type { ProxyRequest, ProxyResponse } from './exchange.js';
export {
  nodeProxy,
  podAttach,
  podExec,
  podLogs,
  podPortForward,
  podProxy,
  serviceProxy,
  type ApiserverHandler,
} from './handlers.js';
export { apiserverParts, type ApiserverParts, type ApiserverPartsOptions } from './parts.js';
export {
  passThrough,
  passThroughUpgrade,
  type PassThrough,
  type PassThroughUpgrade,
} from './pass-through.js';
export type {
  LookedUp,
  LookupOptions,
  NodeObject,
  PodContainer,
  PodObject,
  Resolver,
  ServiceEndpoint,
  ServiceObject,
} from './resolver.js';
export { StatusError, type StatusDetails, type StatusReason } from './status-error.js';
export type { KubeletBackendOptions } from './targets/backend-options.js';
export type { UpstreamClientOptions } from './upstream/options.js';
export type { Asker, UpstreamQuestion } from './upstream/question.js';
export { UpstreamClient } from './upstream/upstream-client.js';
export {
  upstreamResolver,
  type LookupIdentity,
  type UpstreamApi,
  type UpstreamResolverOptions,
} from './upstream-resolver.js';
