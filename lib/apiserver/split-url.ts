/** A request target in two; the scheme and host of one in absolute form are left out (RFC 9112 §3.2.2). */
export function splitUrl(url = '/'): { readonly path: string; readonly search: string } {
  const target = url.startsWith('/') ? url : url.replace(/^https?:\/\/[^/?#]*/i, '');
  const at = target.indexOf('?');
  return at < 0 ? { path: target, search: '' } : { path: target.slice(0, at), search: target.slice(at) };
}
