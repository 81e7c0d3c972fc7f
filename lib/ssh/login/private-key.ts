import { createPrivateKey, type KeyObject } from 'node:crypto';
import ssh2, { type ParsedKey } from 'ssh2';
import { InvalidOptionError } from '../../errors.js';
import { describeKind, looksLikePath } from '../../validation.js';
import { keyTypeOf, SUPPORTED_KEY_TYPES } from '../host-keys/public-key.js';
import { WireReader } from '../host-keys/wire.js';
import { ed25519PrivateKey, MAGIC } from './openssh-form.js';

const KEY = 'ssh.privateKey';
const PASSPHRASE = 'ssh.passphrase';

const OPENSSH_FORM = /-----BEGIN OPENSSH PRIVATE KEY-----([\s\S]*?)-----END OPENSSH PRIVATE KEY-----/;
const PEM_FORM = /-----BEGIN (ENCRYPTED |RSA |EC |DSA )?PRIVATE KEY-----/;

/** The one cipher of OpenSSH keys that ssh2 cannot undo. */
const UNREADABLE_CIPHER = 'chacha20-poly1305@openssh.com';

/** OpenSSL's names of nistp256, nistp384 and nistp521 (RFC 5656 §10.1). */
const SSH_CURVES: readonly string[] = ['prime256v1', 'secp384r1', 'secp521r1'];

type Passphrase = string | Buffer;

const isEmpty = (value: Passphrase | undefined): boolean => value === undefined || value.length === 0;

const missingPassphrase = (): InvalidOptionError =>
  new InvalidOptionError(PASSPHRASE, 'is missing: the private key is encrypted');

const wrongPassphrase = (cause?: unknown): InvalidOptionError =>
  new InvalidOptionError(PASSPHRASE, 'does not decrypt the private key, or the key is damaged', { cause });

const unusable = (problem: string, cause?: unknown): InvalidOptionError =>
  new InvalidOptionError(KEY, problem, { cause });

/**
 * What the value is instead of the text of a private key. Never quotes it: it may be a secret all the same.
 */
function misunderstanding(text: string): string | undefined {
  if (text === '') return 'is empty: give the text of a private key file';
  if (looksLikePath(text)) {
    return 'looks like a path: read the file first, and give its content';
  }
  if (/^(ssh|ecdsa|sk)-\S+ |-----BEGIN (RSA |SSH2 )?PUBLIC KEY---|---- BEGIN SSH2 PUBLIC KEY/.test(text)) {
    return 'is a public key: give the private key, which is in the file of the same name without .pub';
  }
  if (text.startsWith('PuTTY-User-Key-File')) {
    return 'is in the form of PuTTY: convert it with "puttygen key.ppk -O private-openssh"';
  }
  if (text.includes('PRIVATE KEY') && !text.includes('\n')) {
    return 'has lost its line breaks: give the text of the private key file unchanged';
  }
  if (OPENSSH_FORM.test(text) || PEM_FORM.test(text)) return undefined;
  return 'is not a private key: give the text of a file made by ssh-keygen, in OpenSSH or PEM form';
}

function refuseType(type: string): never {
  if (/^(ssh-dss|dsa)$/.test(type)) {
    throw unusable('is a DSA key, which sshds no longer take: make another with "ssh-keygen -t ed25519"');
  }
  if (type.startsWith('sk-')) throw unusable(`is of type ${type} and needs its hardware: use ssh.agent`);
  throw unusable(
    `is of type ${type}, which is not supported: use Ed25519, ECDSA (nistp256, 384, 521) or RSA`,
  );
}

/** The header of an OpenSSH key, which is not encrypted (OpenSSH's PROTOCOL.key). */
function readHeader(data: Buffer): { readonly cipher: string; readonly type: string } | undefined {
  if (data.toString('latin1', 0, MAGIC.length) !== MAGIC) return undefined;
  const reader = new WireReader(data.subarray(MAGIC.length));
  const cipher = reader.string()?.toString('latin1');
  reader.string(); // KDF
  reader.string(); // its options
  const count = reader.uint32();
  const publicKey = reader.string();
  if (cipher === undefined || count !== 1 || publicKey === undefined) return undefined;
  return { cipher, type: keyTypeOf(publicKey) };
}

/** Parses without throwing, and with no error that could quote the key. */
function parseWithSsh2(text: string, passphrase: Passphrase | undefined): ParsedKey | undefined {
  try {
    const parsed = ssh2.utils.parseKey(text, passphrase);
    return parsed instanceof Error || !parsed.isPrivateKey() ? undefined : parsed;
  } catch {
    return undefined;
  }
}

function parseOpenSsh(base64: string, passphrase: Passphrase | undefined): ParsedKey {
  const compact = base64.replace(/\s+/g, '');
  const header = readHeader(Buffer.from(compact, 'base64'));
  if (header === undefined) throw unusable('is damaged: its header cannot be read');
  if (!SUPPORTED_KEY_TYPES.includes(header.type)) refuseType(header.type);
  const encrypted = header.cipher !== 'none';
  if (header.cipher === UNREADABLE_CIPHER) {
    throw unusable(
      'is encrypted with a cipher that cannot be read here: change it with "ssh-keygen -p -Z aes256-ctr"',
    );
  }
  if (encrypted && isEmpty(passphrase)) throw missingPassphrase();
  const text = `-----BEGIN OPENSSH PRIVATE KEY-----\n${compact}\n-----END OPENSSH PRIVATE KEY-----`;
  const parsed = parseWithSsh2(text, encrypted ? passphrase : undefined);
  if (parsed !== undefined) return parsed;
  throw encrypted ? wrongPassphrase() : unusable('is damaged: it cannot be parsed');
}

/** ssh2 parses no PKCS#8. */
function toSsh2Form(key: KeyObject): string {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'ed25519') return ed25519PrivateKey(key);
  if (type === 'rsa') return key.export({ type: 'pkcs1', format: 'pem' }).toString();
  if (type !== 'ec') return refuseType(type ?? 'unknown');
  const curve = details?.namedCurve ?? 'with a curve of its own';
  if (!SSH_CURVES.includes(curve)) refuseType(`ECDSA ${curve}`);
  return key.export({ type: 'sec1', format: 'pem' }).toString();
}

function parsePem(text: string, passphrase: Passphrase | undefined): ParsedKey {
  const encrypted = /-----BEGIN ENCRYPTED PRIVATE KEY-----|^Proc-Type: *4, *ENCRYPTED/m.test(text);
  if (encrypted && isEmpty(passphrase)) throw missingPassphrase();
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: text, format: 'pem', ...(encrypted ? { passphrase } : {}) });
  } catch (error) {
    throw encrypted ? wrongPassphrase(error) : unusable('is damaged: it cannot be parsed', error);
  }
  const parsed = parseWithSsh2(toSsh2Form(key), undefined);
  if (parsed === undefined) throw unusable('cannot be parsed');
  return parsed;
}

/**
 * Whether the two halves of a key fit together: a damaged key would otherwise only be refused by the nodes.
 */
function canSign(key: ParsedKey): boolean {
  const hash = key.type === 'ssh-rsa' ? 'sha256' : undefined;
  const data = Buffer.from('tunnel-dialer');
  // Against its type, ssh2 returns an error instead of throwing it.
  const signature: unknown = key.sign(data, hash);
  return Buffer.isBuffer(signature) && (key.verify(data, signature, hash) as unknown) === true;
}

/**
 * Parses a private key in OpenSSH form or PEM (PKCS#8, PKCS#1, SEC1), encrypted or not. Slow on purpose if it
 * is encrypted (bcrypt, PBKDF2): to be called once.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` for `ssh.privateKey` or `ssh.passphrase`;
 *   never shows either
 */
export function parsePrivateKey(privateKey: unknown, passphrase: unknown): ParsedKey {
  if (typeof privateKey !== 'string' && !Buffer.isBuffer(privateKey)) {
    throw unusable(`must be a string or a Buffer, got ${describeKind(privateKey)}`);
  }
  if (passphrase !== undefined && typeof passphrase !== 'string' && !Buffer.isBuffer(passphrase)) {
    throw new InvalidOptionError(PASSPHRASE, `must be a string or a Buffer, got ${describeKind(passphrase)}`);
  }
  // Keys pasted into YAML come indented.
  const text = privateKey
    .toString('utf8')
    .trim()
    .replace(/[ \t]*\r?\n[ \t]*/g, '\n');
  const problem = misunderstanding(text);
  if (problem !== undefined) throw unusable(problem);
  const base64 = OPENSSH_FORM.exec(text)?.[1];
  const parsed = base64 === undefined ? parsePem(text, passphrase) : parseOpenSsh(base64, passphrase);
  if (!SUPPORTED_KEY_TYPES.includes(parsed.type)) refuseType(parsed.type);
  if (!canSign(parsed)) throw unusable('is damaged: what it signs does not verify');
  return parsed;
}
