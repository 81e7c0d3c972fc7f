import { expect } from 'chai';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { InvalidOptionError } from '../../../lib/errors.js';
import { generateKeyPair, type GenerateKeyPairOptions } from '../../../lib/ssh/login/generate-key-pair.js';
import { parsePrivateKey } from '../../../lib/ssh/login/private-key.js';
import { Lab, rejection, roundTrip } from '../../support/dialer.js';
import { blobOf, sshKeygen, useTempDir } from '../key-files.js';

describe('generateKeyPair', () => {
  const inTempDir = useTempDir();
  const names = (): string[] => readdirSync(inTempDir('.')).sort();

  it('makes keys that parse and sign, another each time', async () => {
    const seen = new Set<string>();
    // A generator that is wrong for one key in 300 passes this with a probability of 4 %.
    for (let round = 0; round < 1000; round += 1) {
      const { publicKey, privateKey } = await generateKeyPair();
      const parsed = parsePrivateKey(privateKey, undefined);
      expect(parsed.getPublicSSH()).to.deep.equal(blobOf(publicKey));
      seen.add(publicKey);
    }
    expect(seen.size).to.equal(1000);
  });

  it('makes keys that a node takes', async () => {
    const lab = new Lab();
    try {
      const { publicKey, privateKey } = await generateKeyPair();
      const node = await lab.node({ authorizedKeys: [publicKey] });
      const endpoint = await lab.endpoint();
      const dialer = lab.dialer([node], { ssh: { ...node.ssh, privateKey } });
      await roundTrip(await dialer.dial('127.0.0.1', endpoint.port));
    } finally {
      await lab.end();
    }
  });

  it('writes the private key as ssh-keygen reads it, for its owner only, and nothing else', async () => {
    const path = inTempDir('id_ed25519');
    const { publicKey, privateKey } = await generateKeyPair(path, { comment: 'control plane 1' });
    expect(readFileSync(path, 'utf8')).to.equal(privateKey);
    expect(statSync(path).mode & 0o777).to.equal(0o600);
    expect(publicKey).to.match(/^ssh-ed25519 [A-Za-z0-9+/=]+ control plane 1$/);
    expect(sshKeygen('-y', '-f', path).trim()).to.equal(publicKey);
    expect(names()).to.deep.equal(['id_ed25519']);
  });

  it('has no comment unless told', async () => {
    const path = inTempDir('id_ed25519');
    const { publicKey } = await generateKeyPair(path);
    expect(publicKey.split(' ')).to.have.length(2);
    expect(sshKeygen('-y', '-f', path).trim()).to.equal(publicKey);
  });

  it('never replaces what is at the path, not even a link to nowhere', async () => {
    const path = inTempDir('id_ed25519');
    writeFileSync(path, 'precious');
    expect(await rejection<InvalidOptionError>(generateKeyPair(path)))
      .to.be.an.instanceOf(InvalidOptionError)
      .and.include({ option: 'generateKeyPair() path' })
      .with.property('message')
      .that.includes('overwrite: true');
    expect(readFileSync(path, 'utf8')).to.equal('precious');
    symlinkSync(inTempDir('nowhere'), inTempDir('link'));
    expect(await rejection(generateKeyPair(inTempDir('link')))).to.be.an.instanceOf(InvalidOptionError);
    expect(names()).to.deep.equal(['id_ed25519', 'link']);
  });

  it('makes one key when several are made at the same path at once', async () => {
    const path = inTempDir('id_ed25519');
    const made = await Promise.allSettled(Array.from({ length: 10 }, () => generateKeyPair(path)));
    const [winner, ...others] = made.flatMap((one) => (one.status === 'fulfilled' ? one.value : []));
    expect(others).to.deep.equal([]);
    expect(readFileSync(path, 'utf8')).to.equal(winner?.privateKey);
    expect(names()).to.deep.equal(['id_ed25519']);
  });

  it('replaces what is at the path when told, and leaves what a link points to alone', async () => {
    writeFileSync(inTempDir('elsewhere'), 'precious');
    symlinkSync(inTempDir('elsewhere'), inTempDir('link'));
    writeFileSync(inTempDir('old'), 'old');
    chmodSync(inTempDir('old'), 0o644);
    for (const name of ['link', 'old']) {
      const { privateKey } = await generateKeyPair(inTempDir(name), { overwrite: true });
      expect(readFileSync(inTempDir(name), 'utf8')).to.equal(privateKey);
      expect(lstatSync(inTempDir(name)).mode & 0o777).to.equal(0o600);
    }
    expect(readFileSync(inTempDir('elsewhere'), 'utf8')).to.equal('precious');
    expect(names()).to.deep.equal(['elsewhere', 'link', 'old']);
  });

  it('says why it cannot write, and leaves nothing behind', async () => {
    mkdirSync(inTempDir('directory'));
    for (const overwrite of [false, true]) {
      const { message } = await rejection(generateKeyPair(inTempDir('no/where'), { overwrite }));
      expect(message).to.include(`(ENOENT): there is no folder "${inTempDir('no')}"; make it first`);
    }
    for (const overwrite of [false, true]) {
      const failed = rejection(generateKeyPair(inTempDir('directory'), { overwrite }));
      expect(await failed).to.be.an.instanceOf(InvalidOptionError);
    }
    expect(names()).to.deep.equal(['directory']);
  });

  const wrong: [path: unknown, options: unknown, said: RegExp][] = [
    ['', {}, /generateKeyPair\(\) path must be/],
    [5, {}, /generateKeyPair\(\) path must be/],
    [undefined, { comment: 'a\nb' }, /comment must be a string of one line/],
    [undefined, { comment: 5 }, /comment must be a string of one line/],
    [undefined, { overwrite: 'yes' }, /overwrite must be true or false/],
  ];
  for (const [path, options, said] of wrong) {
    it(`refuses ${JSON.stringify([path, options])}`, async () => {
      const error = await rejection(generateKeyPair(path as string, options as GenerateKeyPairOptions));
      expect(error).to.be.an.instanceOf(InvalidOptionError);
      expect(error.message).to.match(said);
    });
  }
});
