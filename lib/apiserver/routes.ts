interface ProxyRoute<Kind extends string> {
  readonly kind: Kind;
  /** `[scheme:]name[:port]` */
  readonly target: string;
  /** The path up to and with `/proxy`, as the client has written it. */
  readonly prefix: string;
}

interface InNamespace {
  readonly namespace: string;
}

interface PodRoute<Kind extends string> extends InNamespace {
  readonly kind: Kind;
  readonly name: string;
}

/** A request that needs a node, by its path. Names are decoded. */
export type Route =
  | ProxyRoute<'node-proxy'>
  | (ProxyRoute<'pod-proxy'> & InNamespace)
  | (ProxyRoute<'service-proxy'> & InNamespace)
  | PodRoute<'pod-log'>
  | PodRoute<'pod-exec'>
  | PodRoute<'pod-attach'>
  | PodRoute<'pod-portforward'>;

/** What each of them is. */
export type RouteKind = Route['kind'];

const POD_SUBRESOURCES: Readonly<Record<string, 'pod-log' | 'pod-exec' | 'pod-attach' | 'pod-portforward'>> =
  {
    log: 'pod-log',
    exec: 'pod-exec',
    attach: 'pod-attach',
    portforward: 'pod-portforward',
  };

/**
 * The node-bound request that a path is, if it is one (apiserver, pkg/endpoints/request, RequestInfo). A path that is written oddly, with an
 * encoded slash in a name or with dots, is none: the upstream judges it as it stands.
 *
 * @param path - of the request, without the query
 */
export function routeOf(path: string): Route | undefined {
  const segments = path.split('/');
  const [root, api, version, collection] = segments;
  if (root !== '' || api !== 'api' || version !== 'v1') return undefined;
  if (collection === 'nodes') {
    const proxied = proxiedAt(segments, 4);
    return proxied && { kind: 'node-proxy', ...proxied };
  }
  if (collection !== 'namespaces') return undefined;
  const namespace = nameIn(segments[4]);
  const kind = segments[5];
  if (namespace === undefined || (kind !== 'pods' && kind !== 'services')) return undefined;
  if (segments[7] === 'proxy') {
    const proxied = proxiedAt(segments, 6);
    return proxied && { kind: kind === 'pods' ? 'pod-proxy' : 'service-proxy', namespace, ...proxied };
  }
  const name = nameIn(segments[6]);
  const subresource = segments[7] ?? '';
  if (kind !== 'pods' || name === undefined || segments.length !== 8) return undefined;
  if (!Object.hasOwn(POD_SUBRESOURCES, subresource)) return undefined;
  const podKind = POD_SUBRESOURCES[subresource];
  return podKind && { kind: podKind, namespace, name };
}

/** @param at - index of the name, behind which comes `proxy` */
function proxiedAt(
  segments: readonly string[],
  at: number,
): { readonly target: string; readonly prefix: string } | undefined {
  const target = nameIn(segments[at]);
  if (target === undefined || segments[at + 1] !== 'proxy') return undefined;
  return { target, prefix: segments.slice(0, at + 2).join('/') };
}

/** A segment decoded, unless it could be taken for more than one, or for another. */
function nameIn(segment: string | undefined): string | undefined {
  if (segment === undefined || segment === '') return undefined;
  try {
    const name = decodeURIComponent(segment);
    return name === '.' || name === '..' || /[/\\%\0]/.test(name) ? undefined : name;
  } catch {
    return undefined;
  }
}
