import type { ResourceRequest } from './request-info.js';
import type { Attributes, Rules, User } from './rules.js';
import { ApiRefusal } from './status.js';

/** Who is asked about, and what they want to do (authorization.k8s.io/v1). */
interface ReviewSpec {
  readonly user?: unknown;
  readonly groups?: unknown;
  readonly resourceAttributes?: Partial<Record<keyof Attributes, unknown>> | undefined;
  readonly nonResourceAttributes?: { readonly path?: unknown; readonly verb?: unknown } | undefined;
}

/** The answer to a question about rights, or about who one is; `undefined` when the request is for something else. */
export function reviewed(
  { group, resource, verb }: ResourceRequest,
  body: unknown,
  user: User,
  rules: Rules,
): unknown {
  if (verb !== 'create') return undefined;
  const spec = specIn(body);
  switch (`${resource}.${group}`) {
    case 'selfsubjectaccessreviews.authorization.k8s.io':
      return review('SelfSubjectAccessReview', spec, user, rules);
    case 'subjectaccessreviews.authorization.k8s.io':
      return review('SubjectAccessReview', spec, subjectOf(spec), rules);
    case 'selfsubjectreviews.authentication.k8s.io': {
      const userInfo = { username: user.name, groups: user.groups };
      return {
        kind: 'SelfSubjectReview',
        apiVersion: 'authentication.k8s.io/v1',
        metadata: {},
        status: { userInfo },
      };
    }
    default:
      return undefined;
  }
}

function specIn(body: unknown): ReviewSpec {
  const { spec } = (body ?? {}) as { readonly spec?: unknown };
  return typeof spec === 'object' && spec !== null ? spec : {};
}

function subjectOf({ user, groups = [] }: ReviewSpec): User {
  const name = typeof user === 'string' ? user : '';
  const list = Array.isArray(groups) ? groups.map(String) : [];
  if (name !== '' || list.length > 0) return { name, groups: list };
  throw new ApiRefusal(
    422,
    'Invalid',
    'spec.user: Invalid value: "": at least one of user or group must be specified',
  );
}

function review(kind: string, spec: ReviewSpec, user: User, rules: Rules): unknown {
  const { resourceAttributes: of, nonResourceAttributes: at } = spec;
  if ((of === undefined) === (at === undefined))
    throw new ApiRefusal(
      422,
      'Invalid',
      'exactly one of nonResourceAttributes or resourceAttributes must be specified',
    );
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const allowed =
    of === undefined
      ? rules.allowPath(user, text(at?.verb), text(at?.path))
      : rules.allow(user, {
          verb: text(of.verb),
          group: text(of.group),
          resource: text(of.resource),
          subresource: text(of.subresource),
          namespace: text(of.namespace),
          name: text(of.name),
        });
  return { kind, apiVersion: 'authorization.k8s.io/v1', metadata: {}, spec, status: { allowed } };
}
