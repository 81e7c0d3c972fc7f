import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import sinon, { type SinonFakeTimers } from 'sinon';
import { createAuthority } from '../../lib/testing/certificates.js';
import { InvalidOptionError } from '../../lib/errors.js';
import {
  tlsFiles,
  type TlsFiles,
  type TlsFilesOptions,
  type TlsFilesStatus,
} from '../../lib/tls/tls-files.js';
import { turn } from '../support/dialer.js';

const INTERVAL_MS = 1000;

const [oldAuthority, newAuthority] = [createAuthority('old-ca'), createAuthority('new-ca')];
const issue = (authority = oldAuthority) =>
  authority.issue({ commonName: 'control-plane', purpose: 'client' });
const [oldPair, newPair] = [issue(), issue(newAuthority)];

describe('tlsFiles', () => {
  let clock: SinonFakeTimers;
  let directory: string;
  let caFile: string;
  let certFile: string;
  let keyFile: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tls-files-'));
    [caFile, certFile, keyFile] = ['ca.crt', 'tls.crt', 'tls.key'].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(caFile, oldAuthority.certificate);
    writeFileSync(certFile, oldPair.certificate);
    writeFileSync(keyFile, oldPair.privateKey);
    // Behind, because the clock of files may lag by a few milliseconds: what is written now was written in the future.
    clock = sinon.useFakeTimers({ now: Date.now() - 500, toFake: ['Date', 'performance'] });
  });

  afterEach(async () => {
    clock.restore();
    await rm(directory, { recursive: true });
  });

  const create = (options: TlsFilesOptions = {}): TlsFiles =>
    tlsFiles({ caFile, certFile, keyFile, intervalMs: INTERVAL_MS, ...options });

  const texts = (files: TlsFiles): Record<string, string> =>
    Object.fromEntries(Object.entries(files.current()).map(([name, value]) => [name, String(value)]));

  /** What has been written is still for long enough. */
  const pass = (files: TlsFiles): void => {
    files.current();
    clock.tick(INTERVAL_MS);
    files.current();
    clock.tick(INTERVAL_MS);
    files.current();
  };

  const writePair = ({ certificate, privateKey }: typeof oldPair): void => {
    writeFileSync(certFile, certificate);
    writeFileSync(keyFile, privateKey);
  };

  it('tells what is in the files, in one object as long as they stay as they are', () => {
    const files = create();
    expect(texts(files)).to.include({
      ca: oldAuthority.certificate,
      cert: oldPair.certificate,
      key: oldPair.privateKey,
    });
    const current = files.current();
    pass(files);
    expect(files.current()).to.equal(current);
    expect(files.status()).to.deep.equal({
      name: `files ${caFile}, ${certFile}, ${keyFile}`,
      state: 'current',
      updatedAt: new Date(Date.now() - 2 * INTERVAL_MS),
    });
  });

  it('tells only of the files that it was given', () => {
    expect(tlsFiles({ caFile }).current()).to.deep.equal({
      ca: Buffer.from(oldAuthority.certificate),
      cert: undefined,
      key: undefined,
      passphrase: undefined,
    });
    expect(tlsFiles({ certFile, keyFile }).current()).to.include({ ca: undefined });
  });

  it('reads files that have changed when they have been still for an interval', () => {
    const files = create();
    writeFileSync(caFile, newAuthority.certificate);
    clock.tick(INTERVAL_MS - 1);
    expect(texts(files).ca).to.equal(oldAuthority.certificate);
    clock.tick(1);
    expect(texts(files).ca).to.equal(oldAuthority.certificate);
    clock.tick(INTERVAL_MS - 1);
    expect(texts(files).ca).to.equal(oldAuthority.certificate);
    clock.tick(1);
    expect(texts(files).ca).to.equal(newAuthority.certificate);
    expect(texts(files).cert).to.equal(oldPair.certificate);
  });

  it('reads files at once that have changed while nobody asked', () => {
    const files = create();
    writeFileSync(caFile, newAuthority.certificate);
    clock.tick(INTERVAL_MS * 10);
    expect(texts(files).ca).to.equal(newAuthority.certificate);
  });

  it('does not read files that go on changing', () => {
    const files = create();
    for (let writes = 0; writes < 5; writes += 1) {
      writeFileSync(caFile, `${newAuthority.certificate}${'\n'.repeat(writes)}`);
      clock.tick(INTERVAL_MS);
      // As it is when the clock goes on while the files are written.
      clock.setSystemTime(Date.now() - INTERVAL_MS);
      expect(texts(files).ca).to.equal(oldAuthority.certificate);
    }
  });

  it('follows links that are turned, as in a mounted Secret', () => {
    const link = join(directory, 'link');
    symlinkSync(caFile, link);
    const files = create({ caFile: link });
    writeFileSync(join(directory, 'next'), newAuthority.certificate);
    symlinkSync(join(directory, 'next'), join(directory, 'turned'));
    renameSync(join(directory, 'turned'), link);
    pass(files);
    expect(texts(files).ca).to.equal(newAuthority.certificate);
  });

  for (const first of ['certificate', 'key'] as const) {
    it(`never tells a certificate and a key that do not belong together, when the ${first} is changed first`, () => {
      const files = create();
      const [one, text] = first === 'key' ? [keyFile, newPair.privateKey] : [certFile, newPair.certificate];
      writeFileSync(one, text);
      pass(files);
      expect(texts(files)).to.include({ cert: oldPair.certificate, key: oldPair.privateKey });
      expect(files.status().failure?.message).to.equal(
        `tlsFiles().keyFile "${keyFile}" does not belong to the certificate in "${certFile}"`,
      );
      writePair(newPair);
      pass(files);
      expect(texts(files)).to.include({ cert: newPair.certificate, key: newPair.privateKey });
      expect(files.status().state).to.equal('current');
    });
  }

  it('takes new authorities though certificate and key are broken', () => {
    const files = create();
    writeFileSync(keyFile, '');
    writeFileSync(caFile, newAuthority.certificate);
    pass(files);
    expect(texts(files)).to.include({ ca: newAuthority.certificate, key: oldPair.privateKey });
    expect(files.status().state).to.equal('stale');
  });

  const bundle = oldAuthority.certificate + newAuthority.certificate;
  const mishaps: [what: string, befall: () => void, said: RegExp][] = [
    ['the authorities are missing', () => unlinkSync(caFile), /caFile cannot read ".*ca\.crt" \(ENOENT\)/],
    ['the authorities are empty', () => writeFileSync(caFile, ''), /caFile ".*" has no certificate in it/],
    [
      'the authorities are cut off',
      () => writeFileSync(caFile, bundle.slice(0, -40)),
      /caFile ".*" is cut off/,
    ],
    [
      'an authority is broken',
      () => writeFileSync(caFile, bundle.replace(/MII.{20}/, '')),
      /caFile ".*" has a certificate in it that cannot be read/,
    ],
    [
      'the authorities are something else',
      () => writeFileSync(caFile, oldPair.privateKey),
      /caFile ".*" has no certificate in it/,
    ],
    ['the certificate is missing', () => unlinkSync(certFile), /certFile cannot read/],
    ['the key is missing', () => unlinkSync(keyFile), /keyFile cannot read/],
    [
      'the key is cut off',
      () => writeFileSync(keyFile, newPair.privateKey.slice(0, 100)),
      /keyFile ".*" is no private key in PEM, or passphrase does not decrypt it/,
    ],
  ];
  for (const [what, befall, said] of mishaps) {
    it(`keeps what it has read, and says so, while ${what}`, async () => {
      const told: TlsFilesStatus[] = [];
      const files = create({ onChange: (status) => void told.push(status) });
      const [current, { updatedAt }] = [files.current(), files.status()];
      befall();
      pass(files);
      expect(files.current()).to.equal(current);
      const status = files.status();
      expect(status).to.deep.include({ state: 'stale', updatedAt });
      expect(status.failure?.message).to.match(said);
      await turn();
      pass(files);
      await turn();
      expect(told).to.deep.equal([status]);
      expect(inspect([told, files], { depth: 9 })).to.not.match(/PRIVATE KEY/);

      writeFileSync(caFile, newAuthority.certificate);
      writePair(newPair);
      pass(files);
      expect(texts(files)).to.include({ ca: newAuthority.certificate, key: newPair.privateKey });
      await turn();
      expect(told).to.have.length(2);
      expect(told[1]).to.include({ state: 'current' }).and.not.have.property('failure');
    });

    it(`refuses to begin while ${what}`, () => {
      befall();
      expect(() => create()).to.throw(InvalidOptionError, said);
    });
  }

  it('is as before when the files are again those that it has read', async () => {
    const told: string[] = [];
    const turnTo = (target: string): void => {
      symlinkSync(target, `${link}.turned`);
      renameSync(`${link}.turned`, link);
    };
    const link = join(directory, 'link');
    turnTo(caFile);
    const files = create({ caFile: link, onChange: ({ state }) => void told.push(state) });
    const current = files.current();
    turnTo('nowhere');
    pass(files);
    await turn();
    turnTo(caFile);
    pass(files);
    await turn();
    expect(told).to.deep.equal(['stale', 'current']);
    expect(files.current()).to.equal(current);
  });

  it('calls onChange when a connection has been made, not within', async () => {
    const told: string[] = [];
    const files = create({ onChange: ({ state }) => void told.push(state) });
    writeFileSync(caFile, newAuthority.certificate);
    writePair(newPair);
    clock.tick(60_000);
    files.current();
    expect(told).to.deep.equal([]);
    await turn();
    expect(told).to.deep.equal(['current']);
  });

  it('decrypts the key, and passes the passphrase on', () => {
    const passphrase = 'correct horse battery staple';
    const encrypted = createPrivateKey(oldPair.privateKey).export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase,
    });
    writeFileSync(keyFile, encrypted);
    const files = create({ passphrase });
    expect(files.current()).to.include({ passphrase });
    expect(inspect(files, { depth: 9 })).to.not.include(passphrase);
    for (const wrong of [undefined, 'wrong']) {
      expect(() => create({ passphrase: wrong })).to.throw(
        InvalidOptionError,
        /passphrase does not decrypt it/,
      );
    }
  });

  it('takes certificates by all names that PEM has for them', () => {
    for (const name of ['X509 CERTIFICATE', 'TRUSTED CERTIFICATE']) {
      writeFileSync(caFile, oldAuthority.certificate.replaceAll('CERTIFICATE', name));
      expect(() => create({ certFile: undefined, keyFile: undefined })).to.not.throw();
    }
  });

  it('tells no passphrase where there is no key for it', () => {
    expect(tlsFiles({ caFile, passphrase: 'unused' }).current()).to.deep.include({ passphrase: undefined });
  });

  it('says when the youngest of what is in use was read', () => {
    const files = create();
    const before = files.status().updatedAt;
    writeFileSync(caFile, newAuthority.certificate);
    pass(files);
    expect(files.status().updatedAt.getTime()).to.be.greaterThan(before.getTime());
  });

  it('does not read from a FIFO, which would never end', () => {
    const fifo = join(directory, 'fifo');
    execFileSync('mkfifo', [fifo]);
    expect(() => create({ caFile: fifo })).to.throw(
      InvalidOptionError,
      /caFile cannot read ".*" \(it is not a regular file\)/,
    );
  });

  it('does not read a file without bounds', () => {
    writeFileSync(caFile, '\n'.repeat(2 ** 20 + 1));
    expect(() => create()).to.throw(
      InvalidOptionError,
      /caFile cannot read ".*" \(it is longer than 1048576 bytes\)/,
    );
  });

  it('reads a file that begins a certificate again and again in no time that grows with its square', () => {
    writeFileSync(caFile, '-----BEGIN CERTIFICATE-----\n'.repeat(35_000));
    expect(() => create()).to.throw(InvalidOptionError, /is cut off, or no PEM/);
  });

  const wrong: [options: unknown, option: string, said: RegExp][] = [
    [undefined, 'tlsFiles()', /must be an object/],
    [{}, 'tlsFiles()', /needs caFile, or certFile and keyFile/],
    [{ caFile: '' }, 'tlsFiles().caFile', /non-empty/],
    [{ certFile: '/x' }, 'tlsFiles().keyFile', /is missing: certFile is given/],
    [{ keyFile: '/x' }, 'tlsFiles().certFile', /is missing: keyFile is given/],
    [{ caFile: '/x', intervalMs: 0 }, 'tlsFiles().intervalMs', /from 1/],
    [{ caFile: '/x', onChange: 1 }, 'tlsFiles().onChange', /must be a function/],
    [{ caFile: '/x', passphrase: 7 }, 'tlsFiles().passphrase', /must be a string, got a number/],
    [{ ca: '/x' }, 'tlsFiles().ca', /known here/],
  ];
  for (const [options, option, said] of wrong) {
    it(`refuses ${inspect(options)}`, () => {
      expect(() => tlsFiles(options as TlsFilesOptions))
        .to.throw(InvalidOptionError, said)
        .with.property('option', option);
    });
  }
});
