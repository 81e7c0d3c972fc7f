import { createHash, generateKeyPairSync } from 'node:crypto';
import ssh2 from 'ssh2';
import type { KeyPair } from '../ssh/login/generate-key-pair.js';
import { newEd25519Key } from '../ssh/login/new-key.js';
import { ed25519PrivateKey } from '../ssh/login/openssh-form.js';

export type { KeyPair };

/** Kinds of host key: `ed25519` (`ssh-ed25519`), `ecdsa` (`ecdsa-sha2-nistp256`), `rsa` (`ssh-rsa`, 2048 bits). */
export type HostKeyType = 'ed25519' | 'ecdsa' | 'rsa';

/** The public half of a node's host key. */
export interface HostKey {
  /** The type's name in SSH, such as `ssh-ed25519`. */
  readonly type: string;
  /** One line, such as `ssh-ed25519 AAAA…`. */
  readonly publicKey: string;
  /** `SHA256:…` as `ssh-keygen -l` shows it. */
  readonly fingerprint: string;
}

/** Makes a key pair for one node; it protects nothing outside of the test that made it. RSA takes some 100 ms and blocks the event loop meanwhile. */
export function generateKeyPair(type: HostKeyType): KeyPair {
  const privateKey = privateKeyText(type);
  return { publicKey: publicKeyLine(wireFormat(privateKey)), privateKey };
}

/** The public side of a key pair, as a client sees it in a handshake. */
export function describeHostKey(pair: KeyPair): HostKey {
  const key = wireFormat(pair.publicKey);
  return { type: typeOf(key), publicKey: pair.publicKey, fingerprint: fingerprint(key) };
}

/** Hash of a public key in wire format, in the form of OpenSSH. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** A key's text as its public part in wire format (RFC 4253 §6.6). Throws what ssh2 has to say of a text that is no key. */
export function wireFormat(text: string): Buffer {
  const key = ssh2.utils.parseKey(text);
  if (key instanceof Error) throw key;
  return key.getPublicSSH();
}

/** A client's signature, or why it proves nothing. */
export function isSignedBy(key: Buffer, data: Buffer, signature: Buffer, hash?: string): boolean {
  const parsed = ssh2.utils.parseKey(key);
  // At run time `verify` returns an Error for a signature that it cannot read.
  return !(parsed instanceof Error) && (parsed.verify(data, signature, hash) as unknown) === true;
}

function publicKeyLine(key: Buffer): string {
  return `${typeOf(key)} ${key.toString('base64')}`;
}

function typeOf(key: Buffer): string {
  return key.toString('latin1', 4, 4 + key.readUInt32BE(0));
}

// `ssh2.utils.generateKeyPairSync('ed25519')` of 1.17.0 makes a text that it cannot parse itself about once in 300 times.
function privateKeyText(type: HostKeyType): string {
  switch (type) {
    case 'ed25519':
      return ed25519PrivateKey(newEd25519Key());
    case 'ecdsa':
      return generateKeyPairSync('ec', {
        namedCurve: 'prime256v1',
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'sec1', format: 'pem' },
      }).privateKey;
    case 'rsa':
      return generateKeyPairSync('rsa', {
        modulusLength: 2048,
        publicKeyEncoding: { type: 'spki', format: 'pem' },
        privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
      }).privateKey;
  }
}
