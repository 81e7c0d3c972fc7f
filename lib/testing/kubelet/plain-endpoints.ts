import type { ServerResponse } from 'node:http';
import { answerJson, answerText } from './answers.js';
import { METRICS, metricsText } from './metrics-text.js';
import { notFound } from './paths.js';
import type { Container } from './container.js';
import type { Node } from './node.js';
import type { Pod } from './pods.js';

/**
 * Answers what is no stream, with as much as a reader of it looks for (k8s.io/kubernetes, pkg/kubelet/server/server.go).
 *
 * @throws {@link Refusal} 404
 */
export function answerPlain(path: string, node: Node, response: ServerResponse): void {
  if (/^\/healthz(\/(ping|log|syncloop))?$/.test(path)) answerText(response, 'ok');
  else if (path === '/pods') answerJson(response, podList(node.pods.all.map(podStatus)));
  else if (/^\/runningpods\/?$/.test(path)) answerJson(response, podList(node.pods.all.map(runningPod)));
  else if (path === '/stats/summary') answerJson(response, summary(node));
  else if (path === '/configz') answerJson(response, configuration(node));
  else if (path === '/logs/') answerText(response, LISTING, 'text/html; charset=utf-8');
  else if (Object.hasOwn(METRICS, path)) answerText(response, metricsText(path, node), METRICS_TYPE);
  else throw notFound();
}

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** As Go's file server lists a folder. */
const LISTING = '<pre>\n<a href="containers/">containers/</a>\n<a href="pods/">pods/</a>\n</pre>\n';

function podList(items: readonly unknown[]): unknown {
  return { kind: 'PodList', apiVersion: 'v1', metadata: {}, items };
}

function identity({ name, namespace, uid }: Pod, more: object = {}): object {
  return { metadata: { name, namespace, uid, ...more } };
}

function runningPod(pod: Pod): unknown {
  const running = pod.containers.filter(({ isRunning }) => isRunning);
  return { ...identity(pod), spec: { containers: running.map(({ name }) => ({ name })) }, status: {} };
}

function podStatus(pod: Pod): unknown {
  const startTime = pod.startedAt.toISOString();
  const isRunning = pod.containers.some((container) => container.isRunning);
  return {
    ...identity(pod, { creationTimestamp: startTime }),
    spec: { containers: pod.containers.map(({ name }) => ({ name })) },
    status: {
      phase: isRunning ? 'Running' : 'Succeeded',
      podIP: '127.0.0.1',
      startTime,
      containerStatuses: pod.containers.map((container) => containerStatus(container, startTime)),
    },
  };
}

function containerStatus({ name, isRunning, restarts }: Container, startedAt: string): unknown {
  const state = isRunning ? { running: { startedAt } } : { terminated: { exitCode: 0, startedAt } };
  return { name, ready: isRunning, restartCount: restarts, state };
}

/** k8s.io/kubelet, pkg/apis/stats/v1alpha1/types.go. */
function summary({ name, startedAt, pods }: Node): unknown {
  const time = new Date().toISOString();
  const startTime = startedAt.toISOString();
  const { rss, heapUsed } = process.memoryUsage();
  const cpu = { time, usageNanoCores: 1_000_000, usageCoreNanoSeconds: Math.round(process.uptime() * 1e6) };
  const memory = { time, usageBytes: rss, workingSetBytes: rss, rssBytes: heapUsed };
  return {
    node: { nodeName: name, startTime, cpu, memory },
    pods: pods.all.map((pod) => ({
      podRef: { name: pod.name, namespace: pod.namespace, uid: pod.uid },
      startTime: pod.startedAt.toISOString(),
      containers: pod.containers.map((container) => ({ name: container.name, startTime, cpu, memory })),
    })),
  };
}

/** k8s.io/kubelet, config/v1beta1/types.go. */
function configuration({ anonymous }: Node): unknown {
  return {
    kubeletconfig: {
      kind: 'KubeletConfiguration',
      apiVersion: 'kubelet.config.k8s.io/v1beta1',
      authentication: { anonymous: { enabled: anonymous }, webhook: { enabled: true }, x509: {} },
      authorization: { mode: 'Webhook' },
      containerLogMaxSize: '64Mi',
      enableDebuggingHandlers: true,
      streamingConnectionIdleTimeout: '4h0m0s',
    },
  };
}
