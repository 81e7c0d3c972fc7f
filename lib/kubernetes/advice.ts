import { ApiError } from './api-request.js';

/** What to look at when an API server refuses, by the status of its answer. */
const ADVICE: Readonly<Record<number, string>> = {
  401: 'it does not know us: check the token, client certificate or exec plugin in the kubeconfig, or the service account, and whether it has expired',
  403: 'it knows us, but its RBAC does not let us list and watch nodes: bind a ClusterRole with these verbs',
  404: 'is that the address of an API server? check the server in the kubeconfig',
};

/** An error that also says what to do, where that is known. */
export function withAdvice(failure: Error): Error {
  const advice = failure instanceof ApiError ? ADVICE[failure.status] : undefined;
  if (!(failure instanceof ApiError) || advice === undefined) return failure;
  return new ApiError(failure.status, `${failure.message} (${advice})`);
}
