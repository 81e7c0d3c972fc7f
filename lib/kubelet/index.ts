export {
  KubeletClient,
  type CallOptions,
  type JsonObject,
  type KubeletPod,
  type PodList,
} from './kubelet-client.js';
export {
  KubeletAnswerError,
  KubeletCertificateError,
  KubeletError,
  KubeletTimeoutError,
  LogCutError,
  type LogPosition,
  type RefusalCode,
} from './errors.js';
export type { KubeletAddressType, KubeletNode, KubernetesNodeObject } from './kubelet-node.js';
export type { LogOptions, ResumeOptions } from './log-options.js';
export type { ContainerName } from './names.js';
export type { KubeletClientOptions } from './options.js';
export type { TokenSource } from './token.js';
