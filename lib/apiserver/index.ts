export type { Access, Caller, RequestAttributes } from './access.js';
export { ReviewedAccess, type ReviewedAccessOptions } from './access/reviewed-access.js';
export type {
  LookupOptions,
  NodeObject,
  PodContainer,
  PodObject,
  Resolver,
  ServiceEndpoint,
  ServiceObject,
} from './resolver.js';
export { StatusError, type StatusDetails, type StatusReason } from './status-error.js';
export type { UpstreamClientOptions } from './upstream/options.js';
export { UpstreamClient, type Asker, type UpstreamQuestion } from './upstream/upstream-client.js';
export {
  upstreamResolver,
  type LookupIdentity,
  type UpstreamApi,
  type UpstreamResolverOptions,
} from './upstream-resolver.js';
