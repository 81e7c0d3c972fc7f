import type { ApiServer } from './api-server/api-server.js';
import type { ApiObject } from './api-server/objects.js';
import type { Kubelet } from './kubelet/kubelet.js';
import type { ContainerOptions } from './kubelet/options.js';

/** What is read of a pod (k8s.io/api, core/v1, PodSpec and PodStatus). */
interface PodObject extends ApiObject {
  readonly metadata: ApiObject['metadata'] & { readonly uid: string; readonly namespace: string };
  readonly spec?: PodSpec;
  readonly status?: { readonly phase?: string; readonly startTime?: string };
}

interface PodSpec {
  readonly nodeName?: string;
  readonly containers?: readonly PodContainer[];
  readonly [field: string]: unknown;
}

interface PodContainer {
  readonly name: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly stdin?: boolean;
  readonly stdinOnce?: boolean;
  readonly tty?: boolean;
}

/** A pod that runs here. */
interface Running {
  readonly startTime: string;
  /** Of its containers that have ended. */
  readonly exitCodes: Map<string, number>;
}

/**
 * Runs on a kubelet the pods that come to an API server from now on, as a scheduler and a node would: those that are pending, and of no
 * other node. A pod's phase goes from `Pending` to `Running`, and to `Succeeded` or `Failed` with the exit codes of its containers; it is
 * killed when it is deleted. Images are not looked at: `command` and `args` of a container run as a process of this machine and as this
 * user, and without both nothing does. No container is started again, whatever `restartPolicy` says.
 *
 * @example
 * ```ts
 * const kubelet = await startKubelet();
 * const apiServer = await startApiServer({ objects: [{ kind: 'Node', metadata: { name: kubelet.nodeName } }] });
 * runPods(apiServer, kubelet);
 * // kubectl run once --image=none --restart=Never -- sh -c 'echo hello'
 * ```
 *
 * @returns a function that runs no more of them; those that run go on, and are told of no longer
 */
export function runPods(apiServer: ApiServer, kubelet: Kubelet): () => void {
  const running = new Map<string, Running>();

  const tell = ({ metadata: { name, namespace, uid } }: PodObject, status: object): void => {
    const pod = apiServer.get('Pod', name, namespace) as PodObject | undefined;
    // Another one by now, or none at all.
    if (pod?.metadata.uid !== uid) return;
    apiServer.put({ ...pod, spec: { ...pod.spec, nodeName: kubelet.nodeName }, status });
  };

  const start = (pod: PodObject): void => {
    const { name, namespace, uid } = pod.metadata;
    const containers = pod.spec?.containers ?? [];
    try {
      kubelet.addPod({ namespace, name, uid, containers: containers.map(containerOptions) });
    } catch (error) {
      tell(pod, { phase: 'Failed', reason: 'Rejected', message: String(error) });
      return;
    }
    const state: Running = { startTime: new Date().toISOString(), exitCodes: new Map() };
    running.set(uid, state);
    for (const container of containers) {
      void kubelet.container(namespace, name, container.name).ended.then((exitCode) => {
        state.exitCodes.set(container.name, exitCode);
        if (running.get(uid) === state) tell(pod, statusOf(pod, state));
      });
    }
    tell(pod, statusOf(pod, state));
  };

  const unfollow = apiServer.onChange(({ before, after }) => {
    const pod = (after ?? before) as PodObject;
    if (pod.kind !== 'Pod') return;
    const { uid, namespace, name } = pod.metadata;
    if (before === undefined && isForUs(pod, kubelet)) start(pod);
    else if (after === undefined && running.delete(uid)) void kubelet.removePod(namespace, name);
  });
  return () => {
    running.clear();
    unfollow();
  };
}

function isForUs({ spec, status }: PodObject, { nodeName }: Kubelet): boolean {
  const isPending = (status?.phase ?? 'Pending') === 'Pending';
  return isPending && (spec?.nodeName ?? nodeName) === nodeName;
}

/** As the API has them, a stdin is there only if it is asked for. */
function containerOptions(container: PodContainer): ContainerOptions {
  const { name, tty, stdin = false, stdinOnce, command = [], args = [] } = container;
  const words = [...command, ...args];
  return { name, tty, stdin, stdinOnce, ...(words.length > 0 && { command: words }) };
}

function statusOf({ spec: { containers = [] } = {} }: PodObject, { startTime, exitCodes }: Running): object {
  const isRunning = exitCodes.size < containers.length;
  const hasFailed = [...exitCodes.values()].some((exitCode) => exitCode !== 0);
  return {
    phase: isRunning ? 'Running' : hasFailed ? 'Failed' : 'Succeeded',
    startTime,
    conditions: ['Ready', 'ContainersReady'].map((type) => ({ type, status: isRunning ? 'True' : 'False' })),
    containerStatuses: containers.map(({ name }) => {
      const exitCode = exitCodes.get(name);
      const state = exitCode === undefined ? { running: {} } : { terminated: { exitCode } };
      return { name, ready: exitCode === undefined, restartCount: 0, state };
    }),
  };
}
