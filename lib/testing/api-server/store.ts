import { EventEmitter } from 'node:events';
import { randomUUID } from 'node:crypto';
import { apiVersionOf, RESOURCES, type ApiObject, type Resource } from './objects.js';
import { ApiRefusal } from './status.js';

/** What became of an object: it was put there, changed, or removed. */
export interface Change {
  readonly version: number;
  readonly resource: Resource;
  readonly before: ApiObject | undefined;
  readonly after: ApiObject | undefined;
}

/** Changes that a watch may begin before; an older one has to list again. */
const MAX_CHANGES = 1000;

/** The objects, and how they came to be as they are. */
export class Store {
  readonly #objects = new Map<string, ApiObject>();
  readonly #events = new EventEmitter<{ change: [Change] }>().setMaxListeners(0);
  #changes: Change[] = [];
  #version = 1;

  get version(): number {
    return this.#version;
  }

  /** Of a resource, sorted as etcd does. */
  list(resource: Resource, namespace: string | undefined): readonly ApiObject[] {
    const prefix = keyOf(resource, namespace, '');
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix)).sort();
    return keys.flatMap((key) => this.#objects.get(key) ?? []);
  }

  get(resource: Resource, namespace: string | undefined, name: string): ApiObject | undefined {
    return this.#objects.get(keyOf(resource, namespace, name));
  }

  put(object: ApiObject): ApiObject {
    const resource = resourceOfKind(object.kind);
    const { name, namespace = resource.namespaced ? 'default' : undefined } = object.metadata;
    const key = keyOf(resource, namespace, name);
    const before = this.#objects.get(key);
    const after: ApiObject = {
      ...object,
      apiVersion: apiVersionOf(resource),
      metadata: {
        uid: before?.metadata.uid ?? randomUUID(),
        creationTimestamp: before?.metadata.creationTimestamp ?? now(),
        ...object.metadata,
        ...(namespace !== undefined && { namespace }),
        resourceVersion: String(this.#version + 1),
      },
    };
    this.#objects.set(key, after);
    this.#note(resource, before, after);
    return after;
  }

  remove(resource: Resource, namespace: string | undefined, name: string): ApiObject | undefined {
    const key = keyOf(resource, namespace, name);
    const before = this.#objects.get(key);
    if (before === undefined) return undefined;
    this.#objects.delete(key);
    const metadata = { ...before.metadata, resourceVersion: String(this.#version + 1) };
    this.#note(resource, { ...before, metadata }, undefined);
    return before;
  }

  /**
   * The changes since a version.
   *
   * @throws {@link ApiRefusal} 410 when that was too long ago
   */
  since(version: number): readonly Change[] {
    const [oldest] = this.#changes;
    if (oldest !== undefined && version < oldest.version - 1)
      throw new ApiRefusal(410, 'Expired', `too old resource version: ${version} (${oldest.version - 1})`);
    return this.#changes.filter((change) => change.version > version);
  }

  /** @returns a function that ends it */
  follow(listener: (change: Change) => void): () => void {
    this.#events.on('change', listener);
    return () => void this.#events.off('change', listener);
  }

  #note(resource: Resource, before: ApiObject | undefined, after: ApiObject | undefined): void {
    this.#version += 1;
    const change = { version: this.#version, resource, before, after };
    this.#changes = [...this.#changes.slice(1 - MAX_CHANGES), change];
    this.#events.emit('change', change);
  }
}

export function resourceOfKind(kind: string): Resource {
  const found = RESOURCES.find((resource) => resource.kind === kind);
  if (found === undefined) throw new ApiRefusal(400, 'BadRequest', `no kind "${kind}" is registered`);
  return found;
}

/** A namespace and a name have no `/` in them. */
const keyOf = ({ name }: Resource, namespace: string | undefined, object: string): string =>
  namespace === undefined ? `${name}/${object}` : `${name}/${namespace}/${object}`;

/** As the API has them: no milliseconds. */
const now = (): string => new Date().toISOString().replace(/\.\d+Z$/, 'Z');
