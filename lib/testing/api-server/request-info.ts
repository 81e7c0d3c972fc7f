import { ApiRefusal } from './status.js';

/** What a request is about, for authorization (k8s.io/apiserver, pkg/endpoints/request/requestinfo.go). */
export type RequestInfo =
  ResourceRequest | { readonly kind: 'other'; readonly verb: string; readonly path: string };

/** A request about an object, or all of a kind. */
export interface ResourceRequest {
  readonly kind: 'resource';
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly namespace: string | undefined;
  /** As in paths. */
  readonly resource: string;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
  /** What follows the subresource, such as the path of a proxy request. */
  readonly rest: readonly string[];
}

const VERBS: Readonly<Record<string, string>> = {
  GET: 'get',
  HEAD: 'get',
  POST: 'create',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** @throws {@link ApiRefusal} 400 */
export function requestInfo(method: string, path: string, query: URLSearchParams): RequestInfo {
  const [root, ...parts] = path
    .split('/')
    .filter((part) => part !== '')
    .map(decode);
  const verb = VERBS[method] ?? method.toLowerCase();
  const other = { kind: 'other', verb, path } as const;
  const [group, version, ...rest] = root === 'api' ? ['', ...parts] : parts;
  if (
    (root !== 'api' && root !== 'apis') ||
    group === undefined ||
    version === undefined ||
    rest.length === 0
  )
    return other;
  const isScoped = rest[0] === 'namespaces' && rest.length > 2;
  // A namespace's own subresources are no resources in it (requestinfo.go, namespaceSubresources).
  const inNamespace = isScoped && rest[2] !== 'status' && rest[2] !== 'finalize';
  const [resource = '', name, subresource, ...more] = inNamespace ? rest.slice(2) : rest;
  const ofMany =
    name === undefined ? { get: isWatch(query) ? 'watch' : 'list', delete: 'deletecollection' } : {};
  return {
    kind: 'resource',
    verb: (ofMany as Readonly<Record<string, string>>)[verb] ?? verb,
    group,
    version,
    namespace: inNamespace ? rest[1] : resource === 'namespaces' ? name : undefined,
    resource,
    name,
    subresource,
    rest: more,
  };
}

export const isWatch = (query: URLSearchParams): boolean => ['true', '1'].includes(query.get('watch') ?? '');

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ApiRefusal(400, 'BadRequest', 'the path has an escape that is none');
  }
}
