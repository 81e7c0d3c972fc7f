import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import ssh2 from 'ssh2';

/** Kinds of host key: `ed25519` (`ssh-ed25519`), `ecdsa` (`ecdsa-sha2-nistp256`), `rsa` (`ssh-rsa`, 2048 bits). */
export type HostKeyType = 'ed25519' | 'ecdsa' | 'rsa';

/** A key pair made for one node; it protects nothing outside of the test that made it. */
export interface KeyPair {
  /** One line, such as `ssh-ed25519 AAAA…`, as in `authorized_keys`. */
  readonly publicKey: string;
  /** PEM text without a passphrase. */
  readonly privateKey: string;
}

/** The public half of a node's host key. */
export interface HostKey {
  /** The type's name in SSH, such as `ssh-ed25519`. */
  readonly type: string;
  /** One line, such as `ssh-ed25519 AAAA…`. */
  readonly publicKey: string;
  /** `SHA256:…` as `ssh-keygen -l` shows it. */
  readonly fingerprint: string;
}

/** Makes a key pair. RSA takes some 100 ms and blocks the event loop meanwhile. */
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
      return ed25519Text();
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

/** OpenSSH's own format (PROTOCOL.key), the only one in which ssh2 takes Ed25519. */
function ed25519Text(): string {
  const { x = '', d = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const publicPart = Buffer.from(x, 'base64url');
  const seed = Buffer.from(d, 'base64url');
  const type = string('ssh-ed25519');
  const check = randomBytes(4);
  const secret = [
    check,
    check,
    type,
    string(publicPart),
    string(Buffer.concat([seed, publicPart])),
    string(''),
  ];
  const unpadded = Buffer.concat(secret);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7]).subarray(0, -unpadded.length & 7);
  const body = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    ...[string('none'), string('none'), string('')],
    Buffer.from([0, 0, 0, 1]),
    string(Buffer.concat([type, string(publicPart)])),
    string(Buffer.concat([unpadded, padding])),
  ]);
  const lines = body.toString('base64').match(/.{1,70}/g) ?? [];
  return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join(
    '\n',
  );
}

/** RFC 4251 §5 `string`. */
function string(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
