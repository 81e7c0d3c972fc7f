/** What decides how a link of a backend's is changed so that it leads through the proxy. */
export interface LinkRules {
  /** Goes before the paths of the backend. */
  readonly prefix: string;
  /** The backend, as it may name itself: the authority of its URL. */
  readonly authority: string;
  /** The same as the client knows it: the `Host` of the request. */
  readonly requestHost: string | undefined;
}

/** A change to a link: what lies between two offsets becomes something else, all the rest stays as it is. */
export interface LinkEdit {
  readonly from: number;
  readonly to: number;
  readonly insert: string;
}

/** A reference of RFC 3986 §4.1 as far as it matters here; browsers skip blanks before it. */
const REFERENCE = /^([\t\n\f\r ]*)(?:(https?):)?(\/\/[^/?#]*)?(\/[^?#]*)?/i;

/**
 * The change that makes a link lead through the proxy, as kube-apiserver does it (apimachinery, `Transport.rewriteURL`); `undefined` for
 * one that is left alone: a relative one, or one to another host.
 *
 * Three differences: only links of HTTP are changed, a prefix counts as there already only if a segment ends with it, and a link to the
 * backend without any path gets one. The path is not cleaned up either: clients do that, with the same result.
 */
export function linkEdit(link: string, { prefix, authority, requestHost }: LinkRules): LinkEdit | undefined {
  const [whole = '', blanks = '', scheme, slashes, path] = REFERENCE.exec(link) ?? [];
  const host = slashes?.slice(2).toLowerCase() ?? '';
  const isOfClient = host !== '' && host === requestHost?.toLowerCase();
  if (host !== '' && host !== authority.toLowerCase() && !isOfClient) return undefined;
  if (path === undefined && (host === '' || /^[^?#]/.test(link.slice(whole.length)))) return undefined;

  const pathAt = whole.length - (path?.length ?? 0);
  const isPrefixed = path !== undefined && (path === prefix || path.startsWith(`${prefix}/`));
  const from = isOfClient ? pathAt : blanks.length;
  const insert = `${isPrefixed ? '' : prefix}${path === undefined ? '/' : ''}`;
  const isSame = insert === '' && scheme === undefined && slashes === undefined;
  return isSame || (insert === '' && from === pathAt) ? undefined : { from, to: pathAt, insert };
}

/** A link with a change made. */
export const edited = (link: string, { from, to, insert }: LinkEdit): string =>
  link.slice(0, from) + insert + link.slice(to);

/** Whether Go's `url.Parse` takes it: kube-apiserver answers 500 in place of a redirect to what it cannot read. */
export function isReadableLink(link: string): boolean {
  const [reference = ''] = link.split('?');
  return !/^:|%(?![0-9a-f]{2})|^(?:[a-z][a-z0-9+\-.]*:)?\/\/[^/?#]*[\s<>"\\^`{|}]/i.test(reference);
}
