import { printable } from '../../printable.js';
import { StatusError } from '../status-error.js';

/** What a request asks for: its target (RFC 9112 §3.2) as kube-apiserver reads it. */
export interface RequestTarget {
  /** The path with its escapes undone, one character for each byte; it begins with `/`. */
  readonly path: string;
  /** As it came, with its `?`; empty when there is none. */
  readonly query: string;
  /** Of a target in absolute form (`http://host/path`), which counts before the `Host` header. */
  readonly absolute: { readonly scheme: string; readonly host: string } | undefined;
}

/** A target in two: the object and subresource that it names, and what lies behind them. */
export interface SubresourceTarget {
  /** Such as `/api/v1/namespaces/ns/pods/p:80/proxy`, escaped; it goes before every link of the backend's. */
  readonly prefix: string;
  /** The rest of the path with its escapes undone: empty, or it begins with `/`. See {@link joinPath}. */
  readonly rest: string;
}

/** What Go's `net/url` leaves as it is in a path (`encodePath`). */
const ESCAPED_IN_PATH = /[^A-Za-z0-9\-_.~$&+,/:;=@]/;
const ESCAPED_IN_PATHS = new RegExp(ESCAPED_IN_PATH, 'g');

/**
 * Reads the target of a request, `request.url`.
 *
 * @throws StatusError 400 for one with broken escapes, or one that is neither a path nor an absolute URL
 */
export function parseTarget(target: string): RequestTarget {
  const parts = /^(?:(https?):\/\/([^/?#@]+))?(\/[^?]*)?(\?.*)?$/is.exec(target);
  const [, scheme, host, path = '', query = ''] = parts ?? [];
  const absolute = scheme === undefined || host === undefined ? undefined : { scheme, host };
  if (parts === null || (absolute === undefined && path === '')) throw malformed(target);
  if (path.includes('%') && /%(?![0-9a-f]{2})/i.test(path)) throw malformed(target);
  return { path: path === '' ? '/' : unescapePath(path), query, absolute };
}

/** Splits a target behind as many segments as name the object and its subresource; before the first one is a `/` that does not count. */
export function splitTarget({ path }: RequestTarget, segments: number): SubresourceTarget {
  let end = 0;
  for (let left = segments; left > 0 && end >= 0; left -= 1) end = path.indexOf('/', end + 1);
  const at = end < 0 ? path.length : end;
  return { prefix: escapePath(path.slice(0, at)), rest: path.slice(at) };
}

/**
 * The path at the backend, escaped: dot segments and repeated slashes are gone, so that no path leads out of the backend's root; a
 * slash at the end stays (apimachinery, `JoinPreservingTrailingSlash`).
 *
 * @param rest - what lies behind the subresource, with its escapes undone, as {@link splitTarget} gives it
 */
export function joinPath(rest: string): string {
  if (!/\/[/.]/.test(rest)) return rest === '' ? '/' : escapePath(rest);
  const segments: string[] = [];
  for (const segment of rest.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  const slash = rest.endsWith('/') && segments.length > 0 ? '/' : '';
  return escapePath(`/${segments.join('/')}${slash}`);
}

/** Whether a request for the subresource itself is sent to the same with a slash, on which relative links of a page rely (kubernetes#4958). */
export function redirectsToSlash(method: string | undefined, rest: string): boolean {
  return rest === '' && (method === 'GET' || method === 'HEAD');
}

/** Where it is sent. */
export const slashLocation = ({ path, query }: RequestTarget): string => `${escapePath(path)}/${query}`;

/** As Go writes a path, from one character for each byte. */
export function escapePath(path: string): string {
  // Nearly always there is nothing to be done, which is found out sooner than a copy is made.
  if (!ESCAPED_IN_PATH.test(path)) return path;
  return path.replace(
    ESCAPED_IN_PATHS,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

function unescapePath(path: string): string {
  if (!path.includes('%')) return path;
  return path.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

function malformed(target: string): StatusError {
  return new StatusError(
    400,
    'BadRequest',
    `the request target ${JSON.stringify(printable(target))} is malformed`,
  );
}
