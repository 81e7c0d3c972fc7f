/**
 * Why not to sign a login: an RSA key would sign with SHA-1. ssh2 asks for that when a server does not
 * announce SHA-2 signatures (RFC 8308 `server-sig-algs`); OpenSSH's own client refuses there too
 * (sshconnect2.c, `key_sig_algorithm`).
 */
export function sha1Refusal(keyType: string, hash: string | undefined): Error | undefined {
  if (keyType !== 'ssh-rsa' || hash === 'sha256' || hash === 'sha512') return undefined;
  return new Error('the node takes only SHA-1 signatures of RSA keys: use an Ed25519 key');
}
