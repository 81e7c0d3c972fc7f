import { InvalidOptionError } from '../../errors.js';
import { describeKind, type Check } from '../../validation.js';

/** An object of the API. What is not here is kept as it is. */
export interface ApiObject {
  readonly apiVersion?: string | undefined;
  readonly kind: string;
  readonly metadata: ApiObjectMeta;
  readonly [field: string]: unknown;
}

/** What is read of an object's metadata. */
export interface ApiObjectMeta {
  readonly name: string;
  /** Default: `default`, for a kind that lives in namespaces. */
  readonly namespace?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly [field: string]: unknown;
}

/** A kind of object that the API server keeps. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  /** As in paths. */
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly shortNames?: readonly string[];
  /** Subresources and the verbs on them, for discovery. */
  readonly subresources?: Readonly<Record<string, readonly string[]>>;
}

const PROXY_VERBS = ['create', 'delete', 'get', 'patch', 'update'];
const STREAM_VERBS = ['create', 'get'];
const core = { group: '', version: 'v1' };

export const RESOURCES: readonly Resource[] = [
  { ...core, name: 'namespaces', kind: 'Namespace', namespaced: false, shortNames: ['ns'] },
  {
    ...core,
    name: 'nodes',
    kind: 'Node',
    namespaced: false,
    shortNames: ['no'],
    subresources: { proxy: PROXY_VERBS },
  },
  {
    ...core,
    name: 'pods',
    kind: 'Pod',
    namespaced: true,
    shortNames: ['po'],
    subresources: {
      attach: STREAM_VERBS,
      exec: STREAM_VERBS,
      log: ['get'],
      portforward: STREAM_VERBS,
      proxy: PROXY_VERBS,
    },
  },
  {
    ...core,
    name: 'services',
    kind: 'Service',
    namespaced: true,
    shortNames: ['svc'],
    subresources: { proxy: PROXY_VERBS },
  },
  { ...core, name: 'endpoints', kind: 'Endpoints', namespaced: true, shortNames: ['ep'] },
  {
    group: 'discovery.k8s.io',
    version: 'v1',
    name: 'endpointslices',
    kind: 'EndpointSlice',
    namespaced: true,
  },
];

export const apiVersionOf = ({ group, version }: Resource): string =>
  group === '' ? version : `${group}/${version}`;

/** The options of objects: what the API could keep. */
export const apiObject: Check<ApiObject> = (value, path) => {
  const { kind, metadata } = (value ?? {}) as Partial<ApiObject>;
  const isKnown = RESOURCES.some((resource) => resource.kind === kind);
  if (isKnown && typeof metadata?.name === 'string' && metadata.name !== '') return value as ApiObject;
  const kinds = RESOURCES.map((resource) => resource.kind).join(', ');
  throw new InvalidOptionError(
    path,
    `must be an object with metadata.name, of kind ${kinds}; got ${describeKind(value)}`,
  );
};
