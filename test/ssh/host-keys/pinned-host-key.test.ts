import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { InvalidOptionError } from '../../../lib/errors.js';
import type { HostIdentity, HostKeyVerifier } from '../../../lib/ssh/host-keys/verifier.js';
import { hostKeyVerifierFor, pinnedHostKey } from '../../../lib/ssh/host-keys/pinned-host-key.js';
import { fingerprintOf } from '../../../lib/ssh/host-keys/public-key.js';
import { blobOf, generateKeyFiles, SAMPLE_KEYS, useTempDir } from '../key-files.js';

const A = SAMPLE_KEYS.ed25519;
const B = SAMPLE_KEYS.otherEd25519;
const host: HostIdentity = { names: ['node-1', '10.0.0.11'], port: 2222 };

const accepts = (verifier: HostKeyVerifier, key: string): boolean =>
  verifier.verify(host, blobOf(key)).verdict === 'accepted';

function refusal(run: () => unknown): InvalidOptionError {
  try {
    run();
  } catch (error) {
    expect(error).to.be.instanceOf(InvalidOptionError);
    return error as InvalidOptionError;
  }
  throw new Error('nothing was thrown');
}

describe('pinnedHostKey', () => {
  const inTempDir = useTempDir();

  it('accepts the key with the fingerprint that ssh-keygen shows, and no other', () => {
    const { publicKey, fingerprint } = generateKeyFiles(inTempDir('key'), 'ecdsa');
    for (const pin of [fingerprint, `${fingerprint}=`, ` ${fingerprint}\n`]) {
      expect(accepts(pinnedHostKey(pin), publicKey), pin).to.equal(true);
      expect(accepts(pinnedHostKey(pin), A)).to.equal(false);
    }
  });

  it('accepts the key given as a line, and no other', () => {
    for (const key of [
      A,
      SAMPLE_KEYS.ecdsa256,
      SAMPLE_KEYS.ecdsa384,
      SAMPLE_KEYS.ecdsa521,
      SAMPLE_KEYS.rsa,
    ]) {
      for (const pin of [key, `${key} root@node-1\n`]) {
        expect(accepts(pinnedHostKey(pin), key)).to.equal(true);
        expect(accepts(pinnedHostKey(pin), B)).to.equal(false);
      }
    }
  });

  it('accepts each of several keys', () => {
    const verifier = pinnedHostKey(A, fingerprintOf(blobOf(SAMPLE_KEYS.rsa)));
    expect(accepts(verifier, A)).to.equal(true);
    expect(accepts(verifier, SAMPLE_KEYS.rsa)).to.equal(true);
    expect(accepts(verifier, B)).to.equal(false);
  });

  it('says which fingerprints are pinned when it rejects', () => {
    const verdict = pinnedHostKey(A).verify(host, blobOf(B));
    expect(verdict).to.deep.equal({
      verdict: 'rejected',
      reason: 'mismatch',
      hint: `pinned: ${fingerprintOf(blobOf(A))}`,
    });
    const many = pinnedHostKey(A, A, A, A, A).verify(host, blobOf(B));
    expect(many)
      .to.have.property('hint')
      .that.matches(/ and 2 more$/);
  });

  it('offers the types of the keys, or all if any is known by its fingerprint only', () => {
    expect(pinnedHostKey(A).keyTypes(host)).to.deep.equal(['ssh-ed25519']);
    expect(pinnedHostKey(SAMPLE_KEYS.rsa).keyTypes(host)).to.deep.equal(['rsa-sha2-512', 'rsa-sha2-256']);
    expect(pinnedHostKey(SAMPLE_KEYS.rsa, A).keyTypes(host)).to.have.length(3);
    expect(pinnedHostKey(A, fingerprintOf(blobOf(B))).keyTypes(host)).to.equal(undefined);
  });

  it('rejects keys of any bytes', () => {
    const verifier = pinnedHostKey(A);
    for (let round = 0; round < 200; round++) {
      expect(verifier.verify(host, randomBytes(round)).verdict).to.equal('rejected');
    }
  });

  const fingerprint = fingerprintOf(blobOf(A));
  const wrong: readonly (readonly [what: string, pin: unknown, message: RegExp])[] = [
    ['an empty string', '', /must be "SHA256:"/],
    ['a number', 42, /got a number/],
    ['nothing', undefined, /got undefined/],
    ['a fingerprint that is too short', fingerprint.slice(0, -1), /must be "SHA256:"/],
    ['a fingerprint that is too long', `${fingerprint}A`, /must be "SHA256:"/],
    ['a fingerprint with a mistyped end', fingerprint.replace(/.$/, 'B'), /must be "SHA256:"/],
    ['a fingerprint without its prefix', fingerprint.slice('SHA256:'.length), /must be "SHA256:"/],
    ['a fingerprint by SHA-512', fingerprint.replace('SHA256', 'SHA512'), /must be "SHA256:"/],
    ['a fingerprint by MD5', `MD5:${Array<string>(16).fill('ab').join(':')}`, /MD5.*give the SHA256 one/],
    ['the path of a key', '/etc/ssh/ssh_host_ed25519_key.pub', /looks like a path/],
    ['a known_hosts line', `node-1 ${A}`, /has a host name in front/],
    ['a DSA key', SAMPLE_KEYS.dsa, /"ssh-dss", which is not supported/],
    ['a broken key', A.slice(0, -8), /not supported|must be/],
    ['two keys in one string', `${A}\n${B}`, /must be "SHA256:"/],
  ];
  for (const [what, pin, message] of wrong) {
    it(`refuses ${what}`, () => {
      expect(refusal(() => pinnedHostKey(pin as string)).message).to.match(message);
    });
  }

  it('refuses no key at all, and says which argument is wrong', () => {
    const untyped = pinnedHostKey as () => unknown;
    expect(refusal(untyped).message).to.include('needs at least one key');
    expect(refusal(() => pinnedHostKey(A, 'x')).option).to.equal('pinnedHostKey() argument 2');
  });

  it('does not show a private key that was given by mistake', () => {
    const { privateKey } = generateKeyFiles(inTempDir('key'), 'ed25519');
    const { message } = refusal(() => pinnedHostKey(privateKey));
    expect(message).to.include('is a private key');
    expect(message).to.not.include(privateKey.split('\n')[1]);
  });
});

describe('hostKeyVerifierFor', () => {
  it('makes a pin of a string and returns a verifier as it is', () => {
    expect(accepts(hostKeyVerifierFor(A, 'nodes[0].hostKey'), A)).to.equal(true);
    const verifier = pinnedHostKey(A);
    expect(hostKeyVerifierFor(verifier, 'ssh.hostKeys')).to.equal(verifier);
  });

  it('names the option when it is neither', () => {
    for (const value of ['nonsense', '', undefined, null, 1, {}, { verify: () => true }, [A]]) {
      expect(refusal(() => hostKeyVerifierFor(value, 'nodes[3].hostKey')).option).to.equal(
        'nodes[3].hostKey',
      );
    }
  });
});
