export type { ClusterFiles } from './cluster-access.js';
export { kubernetesNodes } from './kubernetes-nodes.js';
export type { KubernetesNodesOptions } from './kubernetes-nodes.js';
export type { NodeAddressType } from './node-spec.js';
