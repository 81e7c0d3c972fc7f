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
export type { KubeletClientOptions } from './client-options.js';
export type { TokenSource } from './token.js';
export { StreamingError, type StreamingErrorCode } from './streaming/errors.js';
export type { RemoteExit } from './streaming/exit-status.js';
export type { AttachOptions, ExecOptions, PortForwardOptions } from './streaming/options.js';
export { RemoteProcess, type TerminalSize } from './streaming/remote-process.js';
