import { randomBytes, type KeyObject } from 'node:crypto';
import { wireString, wireUint32 } from '../host-keys/wire.js';

/** What a private key in OpenSSH form begins with (OpenSSH's PROTOCOL.key). */
export const MAGIC = 'openssh-key-v1\0';

const LINE = /.{1,70}/g;

const publicHalf = (key: KeyObject): Buffer =>
  Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url');

/** The public half of an Ed25519 key in wire format (RFC 8709 §4). */
export function ed25519PublicKey(key: KeyObject): Buffer {
  return Buffer.concat([wireString('ssh-ed25519'), wireString(publicHalf(key))]);
}

/** An Ed25519 private key in OpenSSH's own form (PROTOCOL.key), not encrypted: the only form in which ssh2 takes it. */
export function ed25519PrivateKey(key: KeyObject, comment = ''): string {
  const seed = Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url');
  const check = randomBytes(4);
  const secret = Buffer.concat([
    ...[check, check, ed25519PublicKey(key)],
    ...[wireString(Buffer.concat([seed, publicHalf(key)])), wireString(comment)],
  ]);
  const padding = Buffer.from([1, 2, 3, 4, 5, 6, 7]).subarray(0, -secret.length & 7);
  const data = Buffer.concat([
    ...[Buffer.from(MAGIC), wireString('none'), wireString('none'), wireString(''), wireUint32(1)],
    ...[wireString(ed25519PublicKey(key)), wireString(Buffer.concat([secret, padding]))],
  ]);
  const lines = data.toString('base64').match(LINE) ?? [];
  return ['-----BEGIN OPENSSH PRIVATE KEY-----', ...lines, '-----END OPENSSH PRIVATE KEY-----', ''].join(
    '\n',
  );
}
