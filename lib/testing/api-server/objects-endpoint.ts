import type { ServerResponse } from 'node:http';
import { apiVersionOf, RESOURCES, type ApiObject, type ApiObjectMeta, type Resource } from './objects.js';
import type { ResourceRequest } from './request-info.js';
import { selection } from './selectors.js';
import { answer, ApiRefusal } from './status.js';
import type { Store } from './store.js';
import { asTable, wantsTable } from './table.js';
import { watch } from './watch.js';

/** What answering a request takes, beside what it is about. */
export interface Question {
  readonly query: URLSearchParams;
  readonly accept: string | undefined;
  /** JSON, parsed; `undefined` if there is none. */
  readonly body: unknown;
}

const NO_ROUTE = 'error dialing backend: this API server has no route to its nodes';

/** The endpoints of the objects that the API server keeps. */
export class ObjectsEndpoint {
  readonly #store: Store;
  readonly #without: ReadonlySet<string>;

  constructor(store: Store, without: ReadonlySet<string>) {
    this.#store = store;
    this.#without = without;
  }

  /** @throws {@link ApiRefusal} */
  serve(request: ResourceRequest, question: Question, response: ServerResponse): void {
    const resource = this.#resourceOf(request);
    const { name, namespace, subresource, verb } = request;
    if (subresource !== undefined) {
      this.#existing(resource, request);
      if (resource.subresources?.[subresource] === undefined) throw notFound();
      // The reason to stand a proxy in front of it.
      throw new ApiRefusal(500, '', NO_ROUTE);
    }
    switch (verb) {
      case 'list':
        this.#list(resource, namespace, question, response);
        break;
      case 'watch':
        watch(
          this.#store,
          { resource, namespace, ...question, matches: selection(question.query) },
          response,
        );
        break;
      case 'get': {
        const object = this.#existing(resource, request);
        answer(
          response,
          wantsTable(question.accept) ? asTable(resource, [object], this.#store.version) : object,
        );
        break;
      }
      case 'create':
        answer(response, this.#store.put(created(this.#given(resource, request, question.body))), 201);
        break;
      case 'update':
        this.#existing(resource, request);
        answer(response, this.#store.put(this.#given(resource, request, question.body)));
        break;
      case 'delete':
        this.#existing(resource, request);
        answer(response, this.#store.remove(resource, this.#scopeOf(resource, namespace), name ?? ''));
        break;
      default:
        throw new ApiRefusal(
          405,
          'MethodNotAllowed',
          'the server does not allow this method on the requested resource',
        );
    }
  }

  #resourceOf({ group, version, resource: name, namespace }: ResourceRequest): Resource {
    const found = RESOURCES.find(
      (resource) => resource.group === group && resource.version === version && resource.name === name,
    );
    const isThere = found !== undefined && !this.#without.has(group);
    const isInScope = namespace === undefined || found?.namespaced === true || name === 'namespaces';
    if (isThere && isInScope) return found;
    throw notFound();
  }

  #scopeOf({ namespaced }: Resource, namespace: string | undefined): string | undefined {
    return namespaced ? namespace : undefined;
  }

  #existing(resource: Resource, { namespace, name = '' }: ResourceRequest): ApiObject {
    const object = this.#store.get(resource, this.#scopeOf(resource, namespace), name);
    if (object !== undefined) return object;
    const { group, name: plural } = resource;
    const of = group === '' ? plural : `${plural}.${group}`;
    throw new ApiRefusal(404, 'NotFound', `${of} "${name}" not found`);
  }

  #list(
    resource: Resource,
    namespace: string | undefined,
    { query, accept }: Question,
    response: ServerResponse,
  ): void {
    const all = this.#store.list(resource, this.#scopeOf(resource, namespace)).filter(selection(query));
    const start = Number(query.get('continue') ?? 0) || 0;
    const limit = Number(query.get('limit') ?? 0) || all.length;
    const items = all.slice(start, start + limit);
    const next = start + limit < all.length ? { continue: String(start + limit) } : {};
    const metadata = { resourceVersion: String(this.#store.version), ...next };
    const list = { kind: `${resource.kind}List`, apiVersion: apiVersionOf(resource), metadata, items };
    answer(
      response,
      wantsTable(accept) ? { ...asTable(resource, items, this.#store.version), metadata } : list,
    );
  }

  #given(resource: Resource, { namespace, name }: ResourceRequest, body: unknown): ApiObject {
    const { kind, metadata } = (body ?? {}) as Partial<ApiObject>;
    const isGood = kind === resource.kind && typeof metadata?.name === 'string' && metadata.name !== '';
    if (!isGood || (name !== undefined && metadata.name !== name))
      throw new ApiRefusal(400, 'BadRequest', `the object provided is no ${resource.kind} of that name`);
    const isNew = this.#store.get(resource, this.#scopeOf(resource, namespace), metadata.name) === undefined;
    if (name === undefined && !isNew)
      throw new ApiRefusal(409, 'AlreadyExists', `${resource.name} "${metadata.name}" already exists`);
    return {
      ...(body as ApiObject),
      metadata: { ...metadata, namespace: this.#scopeOf(resource, namespace) },
    };
  }
}

/** What a client says of itself counts, what it says of the time and of how its pod fares does not (pkg/registry/core/pod, PrepareForCreate). */
function created({ metadata, ...rest }: ApiObject): ApiObject {
  const own = Object.fromEntries(
    Object.entries(metadata).filter(([key]) => !GIVEN.has(key)),
  ) as ApiObjectMeta;
  return { ...rest, metadata: own, ...(rest.kind === 'Pod' && { status: { phase: 'Pending' } }) };
}

/** Metadata that the server gives. */
const GIVEN = new Set(['uid', 'creationTimestamp', 'resourceVersion']);

export const notFound = (): ApiRefusal =>
  new ApiRefusal(404, 'NotFound', 'the server could not find the requested resource');
