import type { ApiObject, Resource } from './objects.js';

/** Whether a client wants rows to print rather than objects, as `kubectl get` does. */
export const wantsTable = (accept: string | undefined): boolean =>
  accept?.split(',')[0]?.includes('as=Table') === true;

type Cell = string | number;

interface Column {
  readonly name: string;
  readonly cell: (object: ApiObject) => Cell;
}

const NAME: Column = { name: 'Name', cell: ({ metadata }) => metadata.name };
const AGE: Column = { name: 'Age', cell: ({ metadata }) => ageOf(String(metadata.creationTimestamp)) };

const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  Node: [NAME, { name: 'Status', cell: isNodeReady }, AGE],
  Pod: [
    NAME,
    { name: 'Status', cell: (pod) => at(pod, 'status', 'phase') },
    { name: 'Node', cell: nodeOf },
    AGE,
  ],
  Service: [NAME, { name: 'Cluster-IP', cell: (service) => at(service, 'spec', 'clusterIP') }, AGE],
};

/** Objects as rows to print (meta/v1, Table). */
export function asTable({ kind }: Resource, objects: readonly ApiObject[], version: number): object {
  const columns = COLUMNS[kind] ?? [NAME, AGE];
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: { resourceVersion: String(version) },
    columnDefinitions: columns.map(({ name }) => ({
      name,
      type: 'string',
      format: name === 'Name' ? 'name' : '',
      description: '',
      priority: 0,
    })),
    rows: objects.map((object) => {
      const { metadata } = object;
      return {
        cells: columns.map(({ cell }) => cell(object)),
        object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata },
      };
    }),
  };
}

function nodeOf(pod: ApiObject): string {
  return at(pod, 'spec', 'nodeName');
}

function isNodeReady({ status }: ApiObject): string {
  const { conditions = [] } = (status ?? {}) as { conditions?: readonly { type: string; status: string }[] };
  return conditions.some((each) => each.type === 'Ready' && each.status === 'True') ? 'Ready' : 'NotReady';
}

function at(object: ApiObject, group: string, field: string): string {
  const value = (object[group] as Readonly<Record<string, unknown>> | undefined)?.[field];
  return typeof value === 'string' ? value : '<none>';
}

function ageOf(since: string): string {
  const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)}m` : `${Math.floor(seconds / 3600)}h`;
}
