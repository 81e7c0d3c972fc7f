import { printable } from '../../printable.js';
import type { Caller, RequestAttributes } from '../access.js';
import { StatusError } from '../status-error.js';
import type { UpstreamClient } from '../upstream/upstream-client.js';
import type { CertificateUser } from './client-certificate.js';
import type { Decision } from './decisions.js';

type Upstream = Pick<UpstreamClient, 'json'>;

const AUTHORIZATION = '/apis/authorization.k8s.io/v1';

/** Asks the upstream whether a caller may do something, in their own name. */
export async function reviewSelf(
  upstream: Upstream,
  caller: Caller,
  attributes: RequestAttributes,
): Promise<Decision<StatusError>> {
  const path = `${AUTHORIZATION}/selfsubjectaccessreviews`;
  const body = {
    kind: 'SelfSubjectAccessReview',
    apiVersion: 'authorization.k8s.io/v1',
    spec: { resourceAttributes: resourceAttributes(attributes) },
  };
  try {
    const verdict = verdictIn(await upstream.json(path, { as: caller, method: 'POST', body }));
    if (verdict.isAllowed) return { refusal: undefined };
    return { refusal: forbidden(await nameOf(upstream, caller), attributes, verdict.reason) };
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    if (error.code === 401) return { refusal: new StatusError(401, 'Unauthorized', 'Unauthorized') };
    // Who may not ask, such as anonymous callers, or may not be whom they want to be.
    if (error.code === 403) return { refusal: forbiddenBy(error, attributes) };
    throw error;
  }
}

/** Asks the upstream whether the user of a certificate may do something, in the proxy's name. */
export async function reviewSubject(
  upstream: Upstream,
  user: CertificateUser,
  attributes: RequestAttributes,
): Promise<Decision<StatusError>> {
  const path = `${AUTHORIZATION}/subjectaccessreviews`;
  const body = {
    kind: 'SubjectAccessReview',
    apiVersion: 'authorization.k8s.io/v1',
    spec: {
      user: user.name,
      // As the upstream adds it for whom it knows itself.
      groups: [...user.groups, 'system:authenticated'],
      resourceAttributes: resourceAttributes(attributes),
    },
  };
  try {
    const verdict = verdictIn(await upstream.json(path, { as: 'proxy', method: 'POST', body }));
    return { refusal: verdict.isAllowed ? undefined : forbidden(user.name, attributes, verdict.reason) };
  } catch (error) {
    if (!(error instanceof StatusError) || error.code !== 403) throw error;
    const problem =
      'the proxy may not ask who may do what: bind it to a ClusterRole that may create subjectaccessreviews (authorization.k8s.io)';
    throw new StatusError(503, 'ServiceUnavailable', problem, { cause: error });
  }
}

function resourceAttributes({ verb, resource, subresource, namespace, name }: RequestAttributes): object {
  return {
    verb,
    group: '',
    version: 'v1',
    resource,
    subresource,
    ...(namespace !== undefined && { namespace }),
    name,
  };
}

interface Verdict {
  readonly isAllowed: boolean;
  readonly reason: string;
}

/** Whatever does not say that it is allowed says that it is not. */
function verdictIn(review: unknown): Verdict {
  const { status } = (review ?? {}) as { readonly status?: unknown };
  const { allowed, denied, reason } = (status ?? {}) as Readonly<Record<string, unknown>>;
  const isAllowed = allowed === true && denied !== true;
  return { isAllowed, reason: typeof reason === 'string' ? printable(reason, 500) : '' };
}

/** Clusters before 1.28 do not tell. */
async function nameOf(upstream: Upstream, caller: Caller): Promise<string | undefined> {
  const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
  const body = { kind: 'SelfSubjectReview', apiVersion: 'authentication.k8s.io/v1' };
  try {
    const { status } = (await upstream.json(path, { as: caller, method: 'POST', body })) as {
      readonly status?: { readonly userInfo?: { readonly username?: unknown } };
    };
    const name = status?.userInfo?.username;
    return typeof name === 'string' ? printable(name) : undefined;
  } catch {
    return undefined;
  }
}

/** In the words of kube-apiserver (k8s.io/apiserver, pkg/endpoints/handlers/responsewriters/errors.go, and apimachinery, `NewForbidden`). */
function forbidden(user: string | undefined, attributes: RequestAttributes, reason: string): StatusError {
  const who = user === undefined ? 'User' : `User "${user}"`;
  return refusalOf(attributes, `${who} cannot ${actionOf(attributes)}${reason === '' ? '' : `: ${reason}`}`);
}

/** The user is named where the upstream has refused the question, in the same words. */
function forbiddenBy(error: StatusError, attributes: RequestAttributes): StatusError {
  const { message } = error;
  // Of an impersonation that is not allowed, it says so itself.
  if (message.includes(' cannot impersonate ')) return error;
  return forbidden(/\bUser "([^"]*)" cannot /.exec(message)?.[1], attributes, '');
}

function refusalOf({ resource, name }: RequestAttributes, problem: string): StatusError {
  const message = `${resource} "${name}" is forbidden: ${problem}`;
  return new StatusError(403, 'Forbidden', message, { details: { name, kind: resource } });
}

function actionOf({ verb, resource, subresource, namespace }: RequestAttributes): string {
  const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  return `${verb} resource "${resource}/${subresource}" in API group "" ${where}`;
}
