/**
 * What belongs to one connection only and is not passed on, names in lower case: RFC 9110 §7.6.1, what Go's `httputil.ReverseProxy` counts
 * among it, and the settings of an upgrade to HTTP/2 (RFC 7540 §3.2.1). Beside it goes what `Connection` lists.
 */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
