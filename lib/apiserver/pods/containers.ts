import type { PodContainer, PodObject } from '../resolver.js';
import { StatusError } from '../status-error.js';

const namesOf = (containers: readonly PodContainer[] = []): string =>
  containers.map(({ name }) => name).join(' ');

/**
 * The container that a request means: the one it names, or the only one (pkg/registry/core/pod, `validateContainer`).
 *
 * @throws {@link StatusError} 400
 */
export function containerOf({ spec = {} }: PodObject, pod: string, wanted: string | undefined): string {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = spec;
  if (wanted === undefined || wanted === '') {
    const [only, other] = containers;
    if (only !== undefined && other === undefined) return only.name;
    throw new StatusError(400, 'BadRequest', notChosen(pod, containers, initContainers));
  }
  if ([...containers, ...initContainers, ...ephemeralContainers].some(({ name }) => name === wanted))
    return wanted;
  throw new StatusError(400, 'BadRequest', `container ${wanted} is not valid for pod ${pod}`);
}

function notChosen(
  pod: string,
  containers: readonly PodContainer[],
  initContainers: readonly PodContainer[],
): string {
  const problem = `a container name must be specified for pod ${pod}`;
  if (containers.length === 0) return problem;
  const choice = `${problem}, choose one of: [${namesOf(containers)}]`;
  return initContainers.length === 0
    ? choice
    : `${choice} or one of the init containers: [${namesOf(initContainers)}]`;
}
