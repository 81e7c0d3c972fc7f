import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import {
  fingerprintOf,
  isSupportedKey,
  keyTypeOf,
  parsePublicKey,
  sameBytes,
  signatureAlgorithms,
} from '../../../lib/ssh/host-keys/public-key.js';
import { wireString } from '../../../lib/ssh/host-keys/wire.js';
import { blobOf, generateKeyFiles, SAMPLE_KEYS, useTempDir } from '../key-files.js';

describe('public keys', () => {
  const inTempDir = useTempDir();

  for (const type of ['ed25519', 'ecdsa', 'rsa']) {
    it(`have the fingerprint that ssh-keygen shows (${type})`, () => {
      const { publicKey, fingerprint } = generateKeyFiles(inTempDir('key'), type);
      expect(fingerprintOf(blobOf(publicKey))).to.equal(fingerprint);
      expect(parsePublicKey(publicKey)?.type).to.equal(publicKey.split(' ')[0]);
    });
  }

  it('are read with and without a comment, tabs, padding and surrounding white space', () => {
    const blob = blobOf(SAMPLE_KEYS.rsa);
    const [type, base64] = SAMPLE_KEYS.rsa.split(' ');
    for (const text of [
      SAMPLE_KEYS.rsa,
      `${SAMPLE_KEYS.rsa} somebody@somewhere else`,
      `\t${type}\t  ${base64}\tcomment\r\n`,
      SAMPLE_KEYS.rsa.replace(/=+$/, ''),
    ]) {
      expect(parsePublicKey(text)?.blob, text).to.deep.equal(blob);
    }
  });

  for (const [what, text] of Object.entries({
    nothing: '',
    'a type alone': 'ssh-ed25519',
    'a type and no key': 'ssh-ed25519 ====',
    'base64 with a foreign character': SAMPLE_KEYS.ed25519.replace(/.{4}$/, 'a-b_'),
    'base64 with bits left over': SAMPLE_KEYS.ed25519.replace(/.{3}$/, 'B'),
    'the type of another key': SAMPLE_KEYS.ed25519.replace('ssh-ed25519 ', 'ssh-rsa '),
    'two lines': `${SAMPLE_KEYS.ed25519}\n${SAMPLE_KEYS.rsa}`,
    'a private key': '-----BEGIN OPENSSH PRIVATE KEY-----',
    'a number': '42 42',
  })) {
    it(`are not read from ${what}`, () => {
      expect(parsePublicKey(text)).to.equal(undefined);
    });
  }

  it('of supported types are told from all else', () => {
    for (const [name, key] of Object.entries(SAMPLE_KEYS)) {
      expect(isSupportedKey(blobOf(key)), name).to.equal(name !== 'dsa');
    }
  });

  it('are not supported if anything is missing, added or of another curve', () => {
    for (const [name, key] of Object.entries(SAMPLE_KEYS)) {
      const blob = blobOf(key);
      for (let length = 0; length < blob.length; length++) {
        expect(isSupportedKey(blob.subarray(0, length)), `${name} cut to ${length}`).to.equal(false);
      }
      expect(isSupportedKey(Buffer.concat([blob, Buffer.of(0)])), `${name} with a byte more`).to.equal(false);
    }
    const point = Buffer.concat([Buffer.of(4), Buffer.alloc(64)]);
    const ecdsa = (curve: string): Buffer =>
      Buffer.concat([wireString('ecdsa-sha2-nistp256'), wireString(curve), wireString(point)]);
    expect(isSupportedKey(ecdsa('nistp256'))).to.equal(true);
    expect(isSupportedKey(ecdsa('nistp384'))).to.equal(false);
  });

  it('of any bytes at all are named and judged without an exception', () => {
    for (let round = 0; round < 500; round++) {
      const rubbish = randomBytes(round % 64);
      if (round % 3 === 0 && rubbish.length >= 4) rubbish.writeUInt32BE(rubbish.length - 4);
      expect(keyTypeOf(rubbish)).to.match(/^[\x21-\x7e]{1,64}$/);
      expect(isSupportedKey(rubbish)).to.equal(false);
      expect(parsePublicKey(`ssh-ed25519 ${rubbish.toString('base64')}`)).to.equal(undefined);
    }
  });

  it('do not smuggle text into messages through their type', () => {
    for (const type of ['', 'ssh ed25519', 'ssh-\u001b[2J', 'a,b', 'x'.repeat(65), 'ключ']) {
      expect(keyTypeOf(wireString(type))).to.equal('malformed');
    }
    expect(keyTypeOf(wireString('sk-ssh-ed25519@openssh.com'))).to.equal('sk-ssh-ed25519@openssh.com');
  });

  it('of type ssh-rsa sign with SHA-2 only, and Ed25519 comes first', () => {
    expect(signatureAlgorithms(['ssh-rsa'])).to.deep.equal(['rsa-sha2-512', 'rsa-sha2-256']);
    expect(
      signatureAlgorithms(['ssh-dss', 'ssh-rsa', 'ecdsa-sha2-nistp384', 'ssh-ed25519', 'ssh-rsa']),
    ).to.deep.equal(['ssh-ed25519', 'ecdsa-sha2-nistp384', 'rsa-sha2-512', 'rsa-sha2-256']);
  });

  it('are the same only if every byte is', () => {
    const blob = blobOf(SAMPLE_KEYS.ed25519);
    expect(sameBytes(blob, Buffer.from(blob))).to.equal(true);
    expect(sameBytes(blob, blob.subarray(1))).to.equal(false);
    const other = Buffer.from(blob);
    other.writeUInt8(other.readUInt8(50) ^ 1, 50);
    expect(sameBytes(blob, other)).to.equal(false);
  });
});
