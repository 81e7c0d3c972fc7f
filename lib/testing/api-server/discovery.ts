import { apiVersionOf, RESOURCES, type Resource } from './objects.js';

const VERBS = ['create', 'delete', 'get', 'list', 'update', 'watch'];

/** Groups whose objects are not kept: they are asked about, and answered. */
const REVIEWS: readonly Omit<Resource, 'namespaced'>[] = [
  ...['SelfSubjectAccessReview', 'SubjectAccessReview'].map((kind) => ({
    group: 'authorization.k8s.io',
    version: 'v1',
    name: `${kind.toLowerCase()}s`,
    kind,
  })),
  { group: 'authentication.k8s.io', version: 'v1', name: 'selfsubjectreviews', kind: 'SelfSubjectReview' },
];

/** What a client learns of the API before it asks for anything; `undefined` for a path that tells nothing of it. */
export function discovery(path: string, withoutGroups: ReadonlySet<string>): unknown {
  const all = [...RESOURCES, ...REVIEWS].filter(({ group }) => !withoutGroups.has(group));
  const groups = [...new Set(all.map(({ group }) => group))].filter((group) => group !== '');
  switch (path.replace(/\/$/, '')) {
    case '/version':
      return {
        major: '1',
        minor: '32',
        gitVersion: 'v1.32.0',
        gitCommit: '',
        gitTreeState: 'clean',
        buildDate: '2024-12-11T00:00:00Z',
        goVersion: '',
        compiler: '',
        platform: 'linux/amd64',
      };
    case '/api':
      return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
    case '/apis':
      return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(groupOf) };
  }
  const [, prefix, group] = /^\/(apis)\/([^/]+)\/?$/.exec(path) ?? [];
  if (prefix !== undefined && group !== undefined && groups.includes(group))
    return { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(group) };
  const [, groupVersion = ''] = /^\/apis?\/((?:[^/]+\/)?v1)\/?$/.exec(path) ?? [];
  const resources = all.filter((each) => apiVersionOf({ namespaced: false, ...each }) === groupVersion);
  if (resources.length === 0) return undefined;
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion, resources: resources.flatMap(entriesOf) };
}

function groupOf(name: string): object {
  const version = { groupVersion: `${name}/v1`, version: 'v1' };
  return { name, versions: [version], preferredVersion: version };
}

function entriesOf(
  each: Omit<Resource, 'namespaced'> & { readonly namespaced?: boolean },
): readonly object[] {
  const { name, kind, namespaced, shortNames, subresources = {} } = each;
  const common = { singularName: kind.toLowerCase(), namespaced: namespaced ?? false, kind };
  const verbs = namespaced === undefined ? ['create'] : VERBS;
  return [
    { name, ...common, verbs, ...(shortNames !== undefined && { shortNames }) },
    ...Object.entries(subresources).map(([subresource, allowed]) => ({
      ...common,
      name: `${name}/${subresource}`,
      singularName: '',
      verbs: allowed,
    })),
  ];
}
