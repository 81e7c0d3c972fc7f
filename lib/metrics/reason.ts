import type { AllNodesFailedError, KubeletErrorCode, TunnelErrorCode } from '../errors.js';

/** Every `code` that a dial can fail with; the compiler sees to it that none is missing. */
const reasons: Record<Exclude<TunnelErrorCode, KubeletErrorCode> | AllNodesFailedError['code'], true> = {
  EACCES: true,
  EAI_AGAIN: true,
  ECONNREFUSED: true,
  ECONNRESET: true,
  EHOSTUNREACH: true,
  ENETUNREACH: true,
  ENOTFOUND: true,
  ETIMEDOUT: true,
  ERR_TUNNEL_ALL_NODES_FAILED: true,
  ERR_TUNNEL_AUTH: true,
  ERR_TUNNEL_CLOSED: true,
  ERR_TUNNEL_HOST_KEY: true,
  ERR_TUNNEL_INVALID_OPTION: true,
  ERR_TUNNEL_LOST: true,
  ERR_TUNNEL_NODE_UNAVAILABLE: true,
  ERR_TUNNEL_NO_ROUTE: true,
  ERR_TUNNEL_POOL_EXHAUSTED: true,
  ERR_TUNNEL_PROHIBITED: true,
  ERR_TUNNEL_RESOURCE: true,
};

/** The label of an error: its `code` if that is one of ours, else `other`, so that there are never more than these. */
export function reasonOf(error: unknown): string {
  const isObject = typeof error === 'object' && error !== null;
  const code: unknown = isObject && 'code' in error ? error.code : undefined;
  return typeof code === 'string' && Object.hasOwn(reasons, code) ? code : 'other';
}
