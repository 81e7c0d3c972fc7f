import { hasBearer, isIdentity } from '../access/identity-headers.js';
import type { ProxyRequest } from '../exchange.js';
import { StatusError } from '../status-error.js';
import { field, fieldsOf, hopByHop, isSendable, listOf, valuesOf, type Field } from './fields.js';
import { parseTarget } from './request-target.js';

/** How the end of a request's body is told (RFC 9112 §6). */
export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly length: string }
  | { readonly kind: 'chunked' };

/** What of a request's head goes to the backend. */
export interface RequestHead {
  readonly fields: readonly Field[];
  readonly framing: Framing;
  /** The host as the client knows it; `undefined` when it names none. */
  readonly host: string | undefined;
}

export interface RequestHeadOptions {
  /** Stands for the host when the client names none. */
  readonly authority: string;
  /** The client's, appended to `X-Forwarded-For`; `undefined`: not told. */
  readonly clientAddress: string | undefined;
  /** What the backend is told as `X-Forwarded-Uri`; `undefined`: nothing. */
  readonly forwardedUri: string | undefined;
}

/** Of the request's own framing and routing, which are written anew. */
const REWRITTEN: ReadonlySet<string> = new Set(['content-length', 'host', 'x-forwarded-for']);

/** Methods that have a body as a rule; Go announces an empty one. */
const HAVE_BODIES: ReadonlySet<string | undefined> = new Set(['PATCH', 'POST', 'PUT']);

/**
 * The head of a request as the backend gets it: built anew, of fields that can be sent as they are. It has no credentials of the
 * client's and nothing that belongs to the client's connection; see the facts of kube-apiserver's ReverseProxy.
 *
 * @throws StatusError 400 for what can be read in two ways, 501 for a transfer coding other than `chunked`
 */
export function requestHead(request: ProxyRequest, options: RequestHeadOptions): RequestHead {
  if (request.httpVersionMajor < 1) throw refused('is of a version of HTTP without headers');
  const all = fieldsOf(request.rawHeaders);
  for (const each of all) if (!isSendable(each)) throw refused('has a header that is malformed');
  const framing = framingOf(request, all);
  const host = hostOf(request, all);
  const absolute = absoluteOf(request);
  const { forwardedUri, clientAddress } = options;
  const isReplaced = ({ key }: Field): boolean =>
    REWRITTEN.has(key) ||
    (forwardedUri !== undefined && key === 'x-forwarded-uri') ||
    (absolute !== undefined && (key === 'x-forwarded-host' || key === 'x-forwarded-proto'));
  const passes = endToEnd(all);
  const fields: Field[] = [field('Host', host ?? options.authority)];
  for (const each of request.httpVersionMajor === 2 ? withOneCookie(all) : all) {
    if (!isReplaced(each) && passes(each)) fields.push(each);
  }
  if (listOf(all, 'te').includes('trailers')) fields.push(field('TE', 'trailers'));
  fields.push(...framingFields(request, framing, all, passes));
  const forwardedFor = [...valuesOf(all, 'x-forwarded-for'), clientAddress].filter(Boolean).join(', ');
  if (forwardedFor !== '') fields.push(field('X-Forwarded-For', forwardedFor));
  if (forwardedUri !== undefined) fields.push(field('X-Forwarded-Uri', forwardedUri));
  if (absolute !== undefined)
    fields.push(field('X-Forwarded-Host', absolute.host), field('X-Forwarded-Proto', absolute.scheme));
  return { fields, framing, host };
}

/** The trailer fields of a request that go to the backend: none that could pass for one of the head that we decide on. */
export function requestTrailers(request: ProxyRequest): Field[] {
  if (request.rawTrailers.length === 0) return [];
  const passes = endToEnd(fieldsOf(request.rawHeaders));
  return fieldsOf(request.rawTrailers).filter(
    (each) => isSendable(each) && passes(each) && !/^(content-length|host|x-forwarded-.*)$/.test(each.key),
  );
}

/** Whether a field goes to the backend. Many a framework takes `_` in a name for `-`. */
function endToEnd(all: readonly Field[]): (field: Field) => boolean {
  const isHopByHop = hopByHop(all);
  return (each) => {
    const { key, value } = each;
    if (isHopByHop(each) || isIdentity(key)) return false;
    return key !== 'sec-websocket-protocol' || !hasBearer(value);
  };
}

/** Node's parser refuses most of this before; a server may have been made with a lenient one. */
function framingOf(request: ProxyRequest, all: readonly Field[]): Framing {
  const lengths = valuesOf(all, 'content-length');
  const codings = valuesOf(all, 'transfer-encoding');
  const [length] = lengths;
  if (lengths.length + codings.length > 1) throw refused('tells the length of its body more than once');
  if (length !== undefined) {
    if (!/^\d+$/.test(length)) throw refused('has a Content-Length that is no number');
    return { kind: 'length', length };
  }
  if (codings.length > 0) {
    // RFC 9112 §6.1: in HTTP/1.0 there is none, and whoever is before us may have read it otherwise.
    if (request.httpVersion !== '1.1')
      throw refused(`has a Transfer-Encoding in HTTP/${request.httpVersion}`);
    if (codings[0]?.toLowerCase() === 'chunked') return { kind: 'chunked' };
    throw new StatusError(501, '', 'the request has a transfer coding other than chunked');
  }
  return 'stream' in request && !request.stream.endAfterHeaders ? { kind: 'chunked' } : { kind: 'none' };
}

function framingFields(
  { method }: ProxyRequest,
  framing: Framing,
  all: readonly Field[],
  passes: (field: Field) => boolean,
): Field[] {
  if (framing.kind === 'length') return [field('Content-Length', framing.length)];
  if (framing.kind === 'none') return HAVE_BODIES.has(method) ? [field('Content-Length', '0')] : [];
  const announced = listOf(all, 'trailer')
    .map((name) => field(name, ''))
    .filter((each) => passes(each) && isSendable(each));
  const trailer =
    announced.length === 0 ? [] : [field('Trailer', announced.map(({ key }) => key).join(', '))];
  return [field('Transfer-Encoding', 'chunked'), ...trailer];
}

/** RFC 9112 §3.2: one only, and that of the target counts before it. */
function hostOf(request: ProxyRequest, all: readonly Field[]): string | undefined {
  const hosts = valuesOf(all, 'host');
  if (hosts.length > 1) throw refused('has more than one Host');
  const authority = 'authority' in request ? request.authority : undefined;
  const host = absoluteOf(request)?.host ?? (authority === '' ? undefined : authority) ?? hosts[0];
  return host === '' ? undefined : host;
}

function absoluteOf({ url = '/' }: ProxyRequest): { scheme: string; host: string } | undefined {
  return url.startsWith('/') ? undefined : parseTarget(url).absolute;
}

/** HTTP/2 sends a cookie for each field; for HTTP/1.1 they are to be one (RFC 9113 §8.2.3). */
function withOneCookie(all: readonly Field[]): Field[] {
  const cookies = valuesOf(all, 'cookie');
  if (cookies.length < 2) return [...all];
  return [...all.filter(({ key }) => key !== 'cookie'), field('cookie', cookies.join('; '))];
}

const refused = (problem: string): StatusError =>
  new StatusError(400, 'BadRequest', `the request ${problem}`);
