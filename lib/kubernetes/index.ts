export { kubernetesNodes } from './kubernetes-nodes.js';
export type { KubernetesNodesOptions } from './kubernetes-nodes.js';
export type { NodeAddressType } from './node-spec.js';
export { TunnelKubeConfig, type TunnelKubeConfigOptions } from './tunnel-kube-config.js';
