import { InvalidOptionError } from '../errors.js';
import type { NodeSource } from '../fleet/node-source.js';
import { normalizeNodes, type NodeSpec } from '../fleet/node.js';
import {
  arrayOf,
  boolean,
  milliseconds,
  nonEmptyString,
  objectOf,
  oneOf,
  optional,
  withDefault,
  type Check,
} from '../validation.js';
import { accessTo, type ClusterFiles, type ClusterPlace } from './cluster-access.js';
import { followNodes } from './follow-nodes.js';
import { ADDRESS_TYPES, type NodeAddressType } from './node-spec.js';

/** Which cluster's nodes, which of them, and how they are followed. */
export interface KubernetesNodesOptions {
  /** Path of a kubeconfig file. Default: the files that `KUBECONFIG` names, else `~/.kube/config`. */
  kubeconfig?: string | undefined;
  /** A context of the kubeconfig. Default: its current one. */
  context?: string | undefined;
  /**
   * Whether this process runs in a pod of the cluster and is to use the pod's service account: its token, which is read again as it
   * changes, and the cluster's certificate authority. Default: `false`.
   */
  inCluster?: boolean | undefined;
  /** The API server itself, and files with what it is shown, in place of a kubeconfig. */
  cluster?: ClusterFiles | undefined;
  /**
   * Which of a node's addresses becomes its `address`, at which sshd is reached: the first of the first type that it has. All of
   * them mean the node, whatever their type. Default: `['InternalIP', 'Hostname', 'InternalDNS', 'ExternalIP', 'ExternalDNS']`.
   */
  addressTypes?: readonly NodeAddressType[] | undefined;
  /** Only the nodes with these labels, as `kubectl get nodes --selector` takes them: `node-role.kubernetes.io/worker,zone!=b`. */
  labelSelector?: string | undefined;
  /**
   * Whether the annotations `tunnel-dialer/ssh-host-key` and `tunnel-dialer/ssh-port` of a node are taken for its `hostKey` and `port`.
   * A host key of an annotation is believed in place of the dialer's `ssh.hostKeys`: whoever may change Node objects then says
   * which machine a node is. Turn it off where fewer may decide on that. Default: `true`.
   */
  annotations?: boolean | undefined;
  /**
   * The bastions on the way to every Node, that nearest to us first, as in OpenSSH's `ProxyJump`. They are told with the nodes. Default:
   * none.
   */
  bastions?: readonly NodeSpec[] | undefined;
  /**
   * How long a list may take, from the credentials to the last of its pages, and a watch until it begins, in milliseconds.
   * Default: 60 000.
   */
  listTimeoutMs?: number | undefined;
  /**
   * How long a watch may say nothing, in milliseconds; then it is taken for dead, and begun anew with a list. An API server sends a
   * bookmark about once a minute. Default: 180 000.
   */
  silenceMs?: number | undefined;
  /** Shortest wait before the API is asked again, in milliseconds. Default: 250. */
  retryMinMs?: number | undefined;
  /** Longest wait before the API is asked again, in milliseconds; waits grow towards it and are drawn at random. Default: 30 000. */
  retryMaxMs?: number | undefined;
}

const addressTypes: Check<readonly NodeAddressType[]> = (value, path) => {
  const types = arrayOf(oneOf(...ADDRESS_TYPES))(value, path);
  if (types.length > 0) return types;
  throw new InvalidOptionError(path, 'must name at least one type of address');
};

/** Each behind the one before. */
const bastions: Check<readonly NodeSpec[]> = (value, path) => {
  const specs = (value === undefined ? [] : value) as readonly NodeSpec[];
  normalizeNodes(specs, path);
  const misled = specs.findIndex(({ via }) => via !== undefined);
  if (misled >= 0)
    throw new InvalidOptionError(
      `${path}[${misled}].via`,
      'is told by the order of the bastions: leave it out',
    );
  return specs.map((spec, index) => ({ ...spec, bastion: true, via: specs[index - 1]?.name }));
};

/** Its content holds tokens and keys, and the path is shown in messages, status and metrics. */
const kubeconfigPath: Check<string> = (value, path) => {
  const text = nonEmptyString(value, path);
  if (!/^\s*[{[]|[\r\n]/.test(text)) return text;
  throw new InvalidOptionError(path, 'must be the path of a kubeconfig file, not its content');
};

/** A URL may hold a password. */
const server: Check<string> = (value, path) => {
  const text = nonEmptyString(value, path);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (
    url?.protocol === 'https:' &&
    url.username === '' &&
    url.password === '' &&
    url.search + url.hash === ''
  )
    return text.replace(/\/+$/, '');
  throw new InvalidOptionError(
    path,
    'must be an https URL such as https://10.0.0.1:6443, without user or query',
  );
};

const checkCluster = objectOf({
  server,
  caFile: optional(nonEmptyString),
  tokenFile: optional(nonEmptyString),
  certFile: optional(nonEmptyString),
  keyFile: optional(nonEmptyString),
} satisfies Record<keyof ClusterFiles, Check<unknown>>);

const cluster: Check<Readonly<ClusterFiles>> = (value, path) => {
  const files = checkCluster(value, path);
  const { certFile, keyFile } = files;
  if ((certFile === undefined) === (keyFile === undefined)) return files;
  const [missing, other] = certFile === undefined ? ['certFile', 'keyFile'] : ['keyFile', 'certFile'];
  throw new InvalidOptionError(`${path}.${missing}`, `is missing: ${other} is given`);
};

const checkOptions = objectOf({
  kubeconfig: optional(kubeconfigPath),
  context: optional(nonEmptyString),
  inCluster: withDefault(boolean, false),
  cluster: optional(cluster),
  addressTypes: withDefault(addressTypes, ADDRESS_TYPES),
  labelSelector: optional(nonEmptyString),
  annotations: withDefault(boolean, true),
  bastions,
  listTimeoutMs: withDefault(milliseconds(1), 60_000),
  silenceMs: withDefault(milliseconds(1), 180_000),
  retryMinMs: withDefault(milliseconds(1), 250),
  retryMaxMs: withDefault(milliseconds(1), 30_000),
} satisfies Record<keyof KubernetesNodesOptions, Check<unknown>>);

/**
 * The Nodes of a Kubernetes cluster, listed and then watched. They are told again whenever one of them has come, gone, or changed in
 * what a {@link NodeSpec} says; a kubelet's heartbeats are not told.
 *
 * A Node's `name`, `addresses`, `podCIDRs`, `kubeletPort` and `clusterReady` are the cluster's; `port` and `hostKey` are those of its
 * annotations, see `annotations`. A Node that has no address of `addressTypes`, or about which something cannot be used, such as a wrong
 * annotation, stays as it was when it could last be used, until it is gone from the cluster; one that never could be used is left out.
 * `status().source.leftOut` of the dialer says which and why. The others are told all the same.
 *
 * While the API cannot be asked, and when a watch breaks off or falls silent, an `Error` is told and the last list stays in use; the
 * API is asked again with growing waits. The kubeconfig is read anew each time. Nothing is read, and no connection made, before
 * the nodes are followed. Its account has to be allowed to `list` and `watch` nodes.
 *
 * Needs the package `@kubernetes/client-node` 1.4, which knows kubeconfig files and their ways to authenticate: client certificate,
 * bearer token or the file that it is in, exec plugin, OIDC, service account.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function kubernetesNodes(options: KubernetesNodesOptions = {}): NodeSource {
  const checked = checkOptions(options, '');
  if (checked.retryMaxMs < checked.retryMinMs) {
    throw new InvalidOptionError('retryMaxMs', `must be at least retryMinMs, ${checked.retryMinMs}`);
  }
  const place = placeOf(checked);
  const access = accessTo(place);
  return { name: place.name, follow: (signal) => followNodes(access, checked, signal) };
}

function placeOf({
  kubeconfig,
  context,
  inCluster,
  cluster: files,
}: ReturnType<typeof checkOptions>): ClusterPlace {
  const told = inCluster ? 'inCluster' : files === undefined ? undefined : 'cluster';
  const other = Object.entries({ kubeconfig, context }).find(([, value]) => value !== undefined);
  if (told !== undefined && other !== undefined)
    throw new InvalidOptionError(other[0], `cannot be used with ${told}, which needs no kubeconfig`);
  if (inCluster && files !== undefined)
    throw new InvalidOptionError('cluster', 'stands beside inCluster: give one of the two');
  if (inCluster) return { kind: 'in-cluster', name: 'cluster of this pod' };
  if (files !== undefined) return { kind: 'files', name: `cluster at ${files.server}`, files };
  const file = kubeconfig ?? 'the default kubeconfig';
  const name = `cluster of ${file}${context === undefined ? '' : `, context ${context}`}`;
  return { kind: 'kubeconfig', name, path: kubeconfig, context };
}
