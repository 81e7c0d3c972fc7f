/*
 * Contenders that goals compare with, by their names.
 */
export const PLAIN_TCP = 'plain TCP';
export const SSH2 = 'ssh2';
export const SSH_FORWARD = 'ssh -L';
export const GO = 'Go x/crypto/ssh';
/** Packages of npm's that people would use in place of ssh2 itself. */
export const NPM_PEERS: readonly string[] = ['tunnel-ssh', 'dev-tunnels-ssh'];
