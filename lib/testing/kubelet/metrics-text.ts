import type { Node } from './node.js';

interface Value {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Sample {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly values: (node: Node) => readonly Value[];
}

const one = (value: number): readonly Value[] => [{ labels: {}, value }];

const RUNNING_PODS: Sample = {
  name: 'kubelet_running_pods',
  help: 'Number of pods that have a running pod sandbox',
  type: 'gauge',
  values: ({ pods }) => one(pods.all.length),
};

const RUNNING_CONTAINERS: Sample = {
  name: 'kubelet_running_containers',
  help: 'Number of containers currently running',
  type: 'gauge',
  values: ({ pods }) => {
    const all = pods.all.flatMap(({ containers }) => containers);
    const value = all.filter(({ isRunning }) => isRunning).length;
    return [{ labels: { container_state: 'running' }, value }];
  },
};

const NODE_NAME: Sample = {
  name: 'kubelet_node_name',
  help: "The node's name. The count is always 1.",
  type: 'gauge',
  values: ({ name }) => [{ labels: { node: name }, value: 1 }],
};

const START_TIME: Sample = {
  name: 'process_start_time_seconds',
  help: 'Start time of the process since unix epoch in seconds.',
  type: 'gauge',
  values: ({ startedAt }) => one(startedAt.getTime() / 1000),
};

const NODE_CPU: Sample = {
  name: 'node_cpu_usage_seconds_total',
  help: 'Cumulative cpu time consumed by the node in core-seconds',
  type: 'counter',
  values: () => one(process.cpuUsage().user / 1e6),
};

const NODE_MEMORY: Sample = {
  name: 'node_memory_working_set_bytes',
  help: 'Current working set of the node in bytes',
  type: 'gauge',
  values: () => one(process.memoryUsage.rss()),
};

const CONTAINER_MEMORY: Sample = {
  name: 'container_memory_usage_bytes',
  help: 'Current memory usage in bytes, including all memory regardless of when it was accessed',
  type: 'gauge',
  values: ({ pods }) => ofContainers(pods, () => process.memoryUsage.rss()),
};

const PROBES: Sample = {
  name: 'prober_probe_total',
  help: 'Cumulative number of a liveness, readiness or startup probe for a container by result.',
  type: 'counter',
  values: ({ pods }) => ofContainers(pods, () => 1),
};

/** What there is to scrape. */
export const METRICS: Readonly<Record<string, readonly Sample[]>> = {
  '/metrics': [NODE_NAME, RUNNING_CONTAINERS, RUNNING_PODS, START_TIME],
  '/metrics/cadvisor': [CONTAINER_MEMORY],
  '/metrics/resource': [NODE_CPU, NODE_MEMORY],
  '/metrics/probes': [PROBES],
};

/** In Prometheus' text format, version 0.0.4. */
export function metricsText(path: string, node: Node): string {
  const lines = (METRICS[path] ?? []).flatMap(({ name, help, type, values }) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...values(node).map(({ labels, value }) => `${name}${inBraces(labels)} ${value}`),
  ]);
  return `${lines.join('\n')}\n`;
}

function ofContainers(pods: Node['pods'], value: () => number): readonly Value[] {
  return pods.all.flatMap((pod) =>
    pod.containers.map(({ name }) => ({
      labels: { container: name, namespace: pod.namespace, pod: pod.name },
      value: value(),
    })),
  );
}

function inBraces(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
}
