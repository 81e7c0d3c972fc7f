import { createHash, timingSafeEqual } from 'node:crypto';
import { WireReader } from './wire.js';

/** A public key as it stands in a line of text: `type base64 comment`. */
export interface PublicKey {
  /** Such as `ssh-ed25519`. */
  readonly type: string;
  /** The key in wire format (RFC 4253 §6.6). */
  readonly blob: Buffer;
}

/** Uncompressed points of the curves (RFC 5656 §10.1), which is the only form that sshds send. */
const POINT_BYTES: Readonly<Record<string, number>> = { nistp256: 65, nistp384: 97, nistp521: 133 };

/**
 * What a key of a type signs with, most wanted type first. Keys of type `ssh-rsa` sign with SHA-2 (RFC 8332),
 * never with the SHA-1 of the signature algorithm that is called `ssh-rsa` too.
 */
const SIGNATURE_ALGORITHMS: ReadonlyMap<string, readonly string[]> = new Map([
  ['ssh-ed25519', ['ssh-ed25519']],
  ['ecdsa-sha2-nistp256', ['ecdsa-sha2-nistp256']],
  ['ecdsa-sha2-nistp384', ['ecdsa-sha2-nistp384']],
  ['ecdsa-sha2-nistp521', ['ecdsa-sha2-nistp521']],
  ['ssh-rsa', ['rsa-sha2-512', 'rsa-sha2-256']],
]);

/** Types of host key that this library can verify, most wanted first. */
export const SUPPORTED_KEY_TYPES: readonly string[] = [...SIGNATURE_ALGORITHMS.keys()];

/** The signature algorithms of all supported keys of the given types, most wanted first. */
export function signatureAlgorithms(types: Iterable<string>): string[] {
  const wanted = new Set(types);
  return [...SIGNATURE_ALGORITHMS].flatMap(([type, algorithms]) => (wanted.has(type) ? algorithms : []));
}

/**
 * The type that a key in wire format says it has, such as `ssh-rsa`; `malformed` if that is no algorithm name
 * (RFC 4251 §6).
 */
export function keyTypeOf(blob: Buffer): string {
  const type = new WireReader(blob).string()?.toString('latin1') ?? '';
  return /^[\x21-\x2b\x2d-\x7e]{1,64}$/.test(type) ? type : 'malformed';
}

/** Fingerprint of a key in wire format as OpenSSH shows it: `SHA256:` and base64 without padding. */
export function fingerprintOf(blob: Buffer): string {
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

/**
 * Whether two keys in wire format, or two fingerprints, are the same; in time that does not depend on where
 * they differ.
 */
export function sameBytes(left: Buffer, right: Buffer): boolean {
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Whether a key in wire format is of a supported type and complete. */
export function isSupportedKey(blob: Buffer): boolean {
  const reader = new WireReader(blob);
  const type = reader.string()?.toString('latin1') ?? '';
  const first = reader.string();
  switch (type) {
    case 'ssh-ed25519':
      return first?.length === 32 && reader.atEnd;
    case 'ssh-rsa': {
      const modulus = reader.string();
      return (first?.length ?? 0) > 0 && (modulus?.length ?? 0) > 0 && reader.atEnd;
    }
    case 'ecdsa-sha2-nistp256':
    case 'ecdsa-sha2-nistp384':
    case 'ecdsa-sha2-nistp521': {
      const curve = type.slice('ecdsa-sha2-'.length);
      const point = reader.string();
      return first?.toString('latin1') === curve && point?.length === POINT_BYTES[curve] && reader.atEnd;
    }
    default:
      return false;
  }
}

/**
 * Parses `type base64 comment`, the form of a `.pub` file and of the second half of a known_hosts line. Keys
 * of types that are not supported are parsed too. `undefined` if it is anything else, or if the two types in
 * it differ.
 */
export function parsePublicKey(text: string): PublicKey | undefined {
  const [, type = '', base64 = ''] =
    /^(\S+)[ \t]+([A-Za-z0-9+/]+)={0,2}(?:[ \t].*)?$/.exec(text.trim()) ?? [];
  const blob = Buffer.from(base64, 'base64');
  // Buffer.from stops at the first mistake; a key cut short must not pass for a key.
  if (base64 === '' || blob.toString('base64').replace(/=+$/, '') !== base64) return undefined;
  return keyTypeOf(blob) === type ? { type, blob } : undefined;
}

/** A key in the form that {@link parsePublicKey} reads. */
export function formatPublicKey(blob: Buffer): string {
  return `${keyTypeOf(blob)} ${blob.toString('base64')}`;
}
