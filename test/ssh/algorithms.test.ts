import { expect } from 'chai';
import { createRequire } from 'node:module';
import { algorithmsFor } from '../../lib/ssh/algorithms.js';

const require = createRequire(import.meta.url);
const ssh2 = require('ssh2/lib/protocol/constants.js') as Record<string, string[]>;

const flat = (types?: readonly string[]): Record<string, readonly string[]> =>
  algorithmsFor(types) as Record<string, readonly string[]>;

describe('algorithmsFor', () => {
  it('offers nothing of SHA-1, MD5, DSA or CBC, and no group exchange or slow group', () => {
    const all = Object.values(flat()).flat();
    const weak = /sha1$|sha1-|md5|ssh-rsa|ssh-dss|cbc|arcfour|3des|group1-|group-exchange|group1[578]/;
    expect(all.filter((name) => weak.test(name))).to.deep.equal([]);
  });

  it('offers only what this ssh2 knows', () => {
    const { kex, cipher, hmac, serverHostKey, compress } = flat();
    expect(ssh2.SUPPORTED_KEX).to.include.members([...kex!]);
    expect(ssh2.SUPPORTED_CIPHER).to.include.members([...cipher!]);
    expect(ssh2.SUPPORTED_MAC).to.include.members([...hmac!]);
    expect(ssh2.SUPPORTED_SERVER_HOST_KEY).to.include.members([...serverHostKey!]);
    expect(compress).to.deep.equal(['none']);
  });

  it('prefers AES-GCM, which needs no MAC', () => {
    expect(flat().cipher!.slice(0, 2)).to.deep.equal(['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com']);
  });

  it('offers all host key types when the verifier does not say which it knows', () => {
    expect(flat().serverHostKey).to.have.length(6);
    expect(flat(undefined)).to.deep.equal(flat());
  });

  it('offers only the host key types that the verifier knows, in its order', () => {
    const known = flat(['ecdsa-sha2-nistp256', 'ssh-ed25519']).serverHostKey;
    expect(known).to.deep.equal(['ecdsa-sha2-nistp256', 'ssh-ed25519']);
  });

  it('asks for SHA-2 signatures of RSA keys, whether the verifier names the key or the signatures', () => {
    const both = ['rsa-sha2-512', 'rsa-sha2-256'];
    expect(flat(['ssh-rsa']).serverHostKey).to.deep.equal(both);
    expect(flat(both).serverHostKey).to.deep.equal(both);
  });

  it('offers everything to a host whose known types are none of ours, so that the verifier can speak', () => {
    expect(flat([]).serverHostKey).to.have.length(6);
    expect(flat(['ssh-dss']).serverHostKey).to.have.length(6);
  });

  it('gives connections that offer the same one offer, which nobody can change', () => {
    const offer = algorithmsFor(['ssh-ed25519']);
    expect(algorithmsFor(['ssh-ed25519', 'ssh-dss'])).to.equal(offer);
    expect(algorithmsFor(['ssh-rsa'])).to.not.equal(offer);
    for (const list of [offer, ...Object.values<unknown>({ ...offer })]) expect(list).to.be.frozen;
  });
});
