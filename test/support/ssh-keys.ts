import ssh2 from 'ssh2';

/** Algorithms of key pairs: `ssh-ed25519`, `ecdsa-sha2-nistp256`, `ssh-rsa`. */
export type KeyType = 'ed25519' | 'ecdsa' | 'rsa';

/** A key pair in the forms OpenSSH reads. */
export interface KeyPair {
  /** PEM of type OPENSSH PRIVATE KEY. */
  readonly privateKey: string;
  /** `type base64`, without a comment. */
  readonly publicKey: string;
}

const SIZES: Record<KeyType, object> = { ed25519: {}, ecdsa: { bits: 256 }, rsa: { bits: 2048 } };

/** ssh2's generator; its declared type admits no options put together from parts. */
const generate: (type: KeyType, options: object) => { private: string; public: string } =
  ssh2.utils.generateKeyPairSync;

/**
 * Makes a key pair, encrypted if a passphrase is given (one round of bcrypt-pbkdf, so that tests do not wait
 * for it).
 */
export function generateKeyPair(type: KeyType = 'ed25519', passphrase?: string): KeyPair {
  const encryption = passphrase === undefined ? {} : { passphrase, cipher: 'aes256-ctr', rounds: 1 };
  const pair = generate(type, { ...SIZES[type], ...encryption });
  // ssh2 1.17.0 drops a zero byte at the start of an Ed25519 public key: one key in 256 is of no use to
  // anybody.
  if (ssh2.utils.parseKey(pair.private, passphrase) instanceof Error)
    return generateKeyPair(type, passphrase);
  return { privateKey: pair.private, publicKey: pair.public.split(' ', 2).join(' ') };
}

/** Lines of a known_hosts file for a server at address and port (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export function knownHostsText(address: string, port: number, publicKeys: readonly string[]): string {
  const host = port === 22 ? address : `[${address}]:${port}`;
  return publicKeys.map((key) => `${host} ${key}\n`).join('');
}
