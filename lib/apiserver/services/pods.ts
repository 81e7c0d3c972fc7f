import type { Backend } from '../backend.js';
import type { TaskOf } from '../node-bound.js';
import type { PodObject, Resolver } from '../resolver.js';
import { notFound } from '../targets/refusals.js';
import type { Targets } from '../targets/targets.js';

type PodTask = TaskOf<'pod-log' | 'pod-exec' | 'pod-attach' | 'pod-portforward'>;

/** Finds pods, and the kubelets that run them. */
export class Pods {
  readonly #resolver: Resolver;
  readonly #targets: Targets;

  constructor(resolver: Resolver, targets: Targets) {
    this.#resolver = resolver;
    this.#targets = targets;
  }

  /** @throws {@link StatusError} 404; what the lookup throws */
  async find({ route: { namespace, name }, caller, signal }: PodTask): Promise<PodObject> {
    const pod = await this.#resolver.pod(namespace, name, { caller, signal });
    if (pod !== undefined) return pod;
    throw notFound('pods', name);
  }

  /** @throws {@link StatusError} 400 if the pod has no node yet, 404 if its node is not there; what the lookup throws */
  kubeletOf(pod: PodObject, { route: { name }, caller, signal }: PodTask): Promise<Backend> {
    return this.#targets.kubeletOf({ ...pod, metadata: { ...pod.metadata, name } }, { caller, signal });
  }
}

/** A path of the kubelet's about a pod, or one of its containers. */
export function kubeletPath(
  endpoint: 'containerLogs' | 'exec' | 'attach' | 'portForward',
  { namespace, name }: PodTask['route'],
  container: string | undefined,
  parameters: URLSearchParams,
): string {
  const segments = [endpoint, namespace, name, ...(container === undefined ? [] : [container])];
  const query = parameters.size === 0 ? '' : `?${parameters.toString()}`;
  return `/${segments.map(encodeURIComponent).join('/')}${query}`;
}
