export { startSshNode } from './ssh-node.js';
export type { SshNode } from './ssh-node.js';
export { createAuthority } from './certificates.js';
export type { Authority, KeyAndCertificate, Subject } from './certificates.js';
export type { Endpoint, SshNodeOptions } from './options.js';
export type { Faults, HandshakeFault, OpenFault, Refusal, RefusalReason } from './faults.js';
export type { Hostile } from './hostile.js';
export type { HostKey, HostKeyType, KeyPair } from './keys.js';
export type { PinnedHostKey, SshNodeLogin, SshNodeSpec } from './login.js';
