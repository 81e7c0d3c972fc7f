export type { DialOptions, Dialer, TunnelSocket } from './dialer.js';
export { TunnelDialer, type DialerStatus, type TunnelDialerEvents } from './tunnel-dialer.js';
export { credentialFiles, type CredentialFilesOptions } from './credential-files.js';
export type {
  CredentialsSource,
  CredentialsUpdate,
  HealthOptions,
  PoolOptions,
  ReconnectOptions,
  SshOptions,
  TimeoutOptions,
  TunnelDialerOptions,
} from './options.js';
export type { InstallKey, InstallKeyNode, KeyInstallStatus } from './fleet/install-key.js';
export { tlsFiles, type TlsFiles, type TlsFilesOptions, type TlsFilesStatus } from './tls/tls-files.js';
export type { TlsCredentials, TlsSource } from './tls/tls-source.js';
export type { NodeSpec } from './fleet/node.js';
export type { NodeListing, NodeSource, NodeUpdate, Nodes } from './fleet/node-source.js';
export { nodesFile, type NodesFileOptions } from './fleet/nodes-file.js';
export type {
  ConnectionClosedMessage,
  ConnectionFailedMessage,
  ConnectionLostMessage,
  ConnectionMessage,
  ConnectionReadyMessage,
  DiagnosticsMessages,
  DialEndMessage,
  DialErrorMessage,
  DialMessage,
} from './diagnostics-events.js';
export type { LeftOut, SourceStatus } from './source-follower.js';
export type { ByteCounts } from './ssh/byte-counts.js';
export type { NodeState, NodeStatus } from './fleet/node-status.js';
export type { HttpProbeOptions, HttpsProbeOptions, ProbeOptions, TcpProbeOptions } from './fleet/probe.js';
export type { ProbeStatus } from './fleet/prober.js';

export type { HostIdentity, HostKeyVerdict, HostKeyVerifier } from './ssh/host-keys/verifier.js';
export { generateKeyPair, type GenerateKeyPairOptions, type KeyPair } from './ssh/login/generate-key-pair.js';
export { knownHosts } from './ssh/host-keys/known-hosts.js';
export { pinnedHostKey } from './ssh/host-keys/pinned-host-key.js';
export { trustOnFirstUse } from './ssh/host-keys/trust-on-first-use.js';
export { insecureAcceptAnyHostKey } from './ssh/host-keys/insecure-host-key.js';
export {
  AllNodesFailedError,
  AuthenticationError,
  ChannelRefusedError,
  ClosedError,
  DialTimeoutError,
  EndpointError,
  HostKeyError,
  InvalidOptionError,
  NoRouteError,
  NodeUnavailableError,
  PoolExhaustedError,
  TransportError,
  TunnelError,
  type DialPhase,
  type EndpointErrorCode,
  type HostKeyRejection,
  type KubeletErrorCode,
  type TunnelErrorCode,
} from './errors.js';
