import { arrayOf, nonEmptyString, objectOf, optional, type Check } from '../../validation.js';
import type { RequestInfo } from './request-info.js';
import { ApiRefusal } from './status.js';

/** Something that users and groups may do, as a rule of RBAC with its binding; `*` is everything. */
export interface ApiRule {
  /** Names of users and groups. `system:authenticated` are all whom the server knows. */
  readonly subjects: readonly string[];
  /** Such as `get`, `list`, `watch`, `create`, `impersonate`. */
  readonly verbs: readonly string[];
  /** Such as `pods`, `pods/log`, `nodes/proxy`, `subjectaccessreviews`, `users`; of whatever group. Default: none. */
  readonly resources?: readonly string[] | undefined;
  /** Default: everywhere, also what is in no namespace. */
  readonly namespaces?: readonly string[] | undefined;
  /** Of objects. Default: all. */
  readonly names?: readonly string[] | undefined;
  /** Paths of the API that are no resources, such as `/metrics` or `/logs/*`. Default: none. */
  readonly nonResourceURLs?: readonly string[] | undefined;
}

const words = arrayOf(nonEmptyString);

export const apiRule: Check<ApiRule> = objectOf({
  subjects: words,
  verbs: words,
  resources: optional(words),
  namespaces: optional(words),
  names: optional(words),
  nonResourceURLs: optional(words),
});

/** Whoever makes a request. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

/** What is asked of the rules. */
export interface Attributes {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

/** What every cluster has (pkg/registry/rbac: bootstrappolicy, ClusterRoles system:basic-user, system:discovery, system:public-info-viewer). */
const BOOTSTRAP: readonly ApiRule[] = [
  { subjects: ['system:masters'], verbs: ['*'], resources: ['*'], nonResourceURLs: ['*'] },
  {
    subjects: ['system:authenticated'],
    verbs: ['create'],
    resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews', 'selfsubjectreviews'],
  },
  {
    subjects: ['system:authenticated'],
    verbs: ['get'],
    nonResourceURLs: ['/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*'],
  },
  {
    subjects: ['system:authenticated', 'system:unauthenticated'],
    verbs: ['get'],
    nonResourceURLs: ['/healthz', '/livez', '/readyz', '/version', '/version/'],
  },
];

/** Who may do what. */
export class Rules {
  readonly #rules: ApiRule[];

  constructor(rules: readonly ApiRule[]) {
    this.#rules = [...BOOTSTRAP, ...rules];
  }

  add(rule: ApiRule): void {
    this.#rules.push(rule);
  }

  /** Takes back all that was given to a user or group. */
  revoke(subject: string): void {
    for (const [index, rule] of this.#rules.entries()) {
      if (index < BOOTSTRAP.length) continue;
      this.#rules[index] = { ...rule, subjects: rule.subjects.filter((each) => each !== subject) };
    }
  }

  allow(user: User, { verb, resource, subresource, namespace, name }: Attributes): boolean {
    const full = subresource === undefined || subresource === '' ? resource : `${resource}/${subresource}`;
    return this.#of(user, verb).some(
      ({ resources = [], namespaces = ['*'], names = ['*'] }) =>
        has(resources, full) && has(namespaces, namespace ?? '') && has(names, name ?? ''),
    );
  }

  allowPath(user: User, verb: string, path: string): boolean {
    return this.#of(user, verb).some(({ nonResourceURLs = [] }) =>
      nonResourceURLs.some((url) => (url.endsWith('*') ? path.startsWith(url.slice(0, -1)) : url === path)),
    );
  }

  /** @throws {@link ApiRefusal} 403 in the words of k8s.io/apiserver, pkg/endpoints/handlers/responsewriters/errors.go */
  check(user: User, info: RequestInfo): void {
    const who = `User "${user.name}" cannot ${info.verb}`;
    if (info.kind === 'other') {
      if (this.allowPath(user, info.verb, info.path)) return;
      throw new ApiRefusal(403, 'Forbidden', `forbidden: ${who} path "${info.path}"`);
    }
    if (this.allow(user, info)) return;
    const { group, resource, subresource, namespace, name } = info;
    const full = subresource === undefined ? resource : `${resource}/${subresource}`;
    const of = group === '' ? resource : `${resource}.${group}`;
    const subject = name === undefined ? of : `${of} "${name}"`;
    const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
    const problem = `${who} resource "${full}" in API group "${group}" ${where}`;
    throw new ApiRefusal(403, 'Forbidden', `${subject} is forbidden: ${problem}`);
  }

  #of({ name, groups }: User, verb: string): readonly ApiRule[] {
    return this.#rules.filter(
      ({ subjects, verbs }) =>
        has(verbs, verb) && subjects.some((subject) => subject === name || groups.includes(subject)),
    );
  }
}

const has = (list: readonly string[], word: string): boolean => list.includes('*') || list.includes(word);
