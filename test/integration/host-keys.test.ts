import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  HostKeyError,
  knownHosts,
  pinnedHostKey,
  trustOnFirstUse,
  type HostKeyVerifier,
} from '../../lib/index.js';
import { describeFor, type Feature } from '../support/applicability.js';
import { rejection } from '../support/dialer.js';
import { startEcho } from '../support/endpoints.js';
import { findProgram } from '../support/find-program.js';
import { generateKeyPair, knownHostsText, type KeyType } from '../support/ssh-keys.js';
import type { Sshd } from '../support/sshd.js';
import { temporaryDirectory } from '../support/sshd-files.js';
import { exchange, expectedExchange } from './exchange.js';
import { NODE, nodeOf, nodeStatus, Stage } from './stage.js';

const MIB = 1024 * 1024;
const KEY_TYPES: readonly KeyType[] = ['ed25519', 'ecdsa', 'rsa'];

const sshKeygen: Feature = { name: 'ssh-keygen', present: findProgram('ssh-keygen') !== undefined };
const sshKeyscan: Feature = { name: 'ssh-keyscan', present: findProgram('ssh-keyscan') !== undefined };

const hashOf = (publicKey: string): string =>
  createHash('sha256')
    .update(Buffer.from(publicKey.split(' ')[1] ?? '', 'base64'))
    .digest('base64')
    .replace(/=+$/, '');

describe('the host key of a real sshd', () => {
  const stage = new Stage();
  let directory: string;

  beforeEach(() => {
    directory = temporaryDirectory();
    stage.onEnd(() => rmSync(directory, { recursive: true, force: true }));
  });
  afterEach(() => stage.end());

  const file = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };

  /** Carries a byte to an echo and back through an sshd that a verifier judges. */
  async function expectAccepted(sshd: Sshd, hostKeys: HostKeyVerifier): Promise<void> {
    await stage.dialEcho(stage.dialer(sshd, { ssh: { hostKeys } }), await stage.use(startEcho(sshd)));
  }

  async function expectRejected(
    sshd: Sshd,
    hostKeys: HostKeyVerifier,
    reason: string,
  ): Promise<HostKeyError> {
    const dialer = stage.dialer(sshd, { ssh: { hostKeys } });
    const error = await rejection<HostKeyError>(dialer.dial('127.0.0.1', 9));
    expect(error).to.be.an.instanceOf(HostKeyError).and.have.property('reason', reason);
    return error;
  }

  it('is accepted from a file and from text, by any name of the node', async () => {
    const sshd = await stage.sshd();
    await expectAccepted(sshd, knownHosts(file('known_hosts', sshd.knownHosts)));
    await expectAccepted(sshd, knownHosts(sshd.knownHosts));
    const dialer = stage.dialer(sshd, {
      nodes: [nodeOf(sshd, { addresses: ['node-1.example'] })],
      ssh: { hostKeys: knownHosts(knownHostsText('node-1.example', sshd.port, sshd.hostKeys)) },
    });
    await stage.dialEcho(dialer, await stage.use(startEcho(sshd)));
  });

  describeFor('configure', 'alone of its type', () => {
    for (const type of KEY_TYPES) {
      it(`(${type}) is accepted if it is the one on record, and no other is`, async () => {
        const sshd = await stage.sshd({ hostKeyTypes: [type] });
        const [key = ''] = sshd.hostKeys;
        await expectAccepted(sshd, knownHosts(sshd.knownHosts));
        await expectAccepted(sshd, pinnedHostKey(key));
        await expectAccepted(sshd, pinnedHostKey(`SHA256:${hashOf(key)}`));
        const other = generateKeyPair(type).publicKey;
        const changed = knownHosts(knownHostsText(sshd.address, sshd.port, [other]));
        const error = await expectRejected(sshd, changed, 'mismatch');
        expect(error.fingerprint).to.equal(`SHA256:${hashOf(key)}`);
        await expectRejected(sshd, pinnedHostKey(other), 'mismatch');
      });
    }
  });

  describeFor('configure', 'one of several', () => {
    for (const [index, type] of KEY_TYPES.entries()) {
      it(`is asked for by the type on record (${type})`, async () => {
        const sshd = await stage.sshd({ hostKeyTypes: KEY_TYPES });
        const key = sshd.hostKeys[index]!;
        await expectAccepted(sshd, knownHosts(knownHostsText(sshd.address, sshd.port, [key])));
        await expectAccepted(sshd, pinnedHostKey(key));
      });
    }

    it('is accepted beside others on record, also of other hosts and other ports', async () => {
      const sshd = await stage.sshd({ hostKeyTypes: KEY_TYPES });
      const strangers = [generateKeyPair('ed25519').publicKey, generateKeyPair('ecdsa').publicKey];
      const text =
        knownHostsText(sshd.address, 22, strangers) +
        knownHostsText('other.example', sshd.port, strangers) +
        sshd.knownHosts;
      await expectAccepted(sshd, knownHosts(text));
    });
  });

  describeFor(sshKeygen, 'in a known_hosts file hashed by ssh-keygen -H', () => {
    it('is accepted, and another key is a mismatch', async () => {
      const sshd = await stage.sshd();
      const path = file('known_hosts', sshd.knownHosts);
      execFileSync('ssh-keygen', ['-H', '-f', path], { stdio: 'ignore' });
      expect(readFileSync(path, 'utf8')).to.include('|1|').and.not.include(sshd.address);
      await expectAccepted(sshd, knownHosts(path));

      const others = sshd.hostKeys.map((key) => generateKeyPair(typeOf(key)).publicKey);
      const changed = file('changed', knownHostsText(sshd.address, sshd.port, others));
      execFileSync('ssh-keygen', ['-H', '-f', changed], { stdio: 'ignore' });
      await expectRejected(sshd, knownHosts(changed), 'mismatch');
    });
  });

  describeFor(sshKeyscan, 'as ssh-keyscan prints it', () => {
    it('is accepted', async () => {
      const sshd = await stage.sshd();
      const arguments_ = ['-p', `${sshd.port}`, sshd.address];
      const text = execFileSync('ssh-keyscan', arguments_, {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      await expectAccepted(sshd, knownHosts(text));
    });
  });

  describe('trusted on first use', () => {
    it('is written down after the first login, and needs no second trust', async () => {
      const sshd = await stage.sshd();
      const path = join(directory, 'known_hosts');
      await expectAccepted(sshd, trustOnFirstUse(path));
      const text = readFileSync(path, 'utf8');
      expect(sshd.hostKeys.some((key) => text.includes(key))).to.equal(true);
      expect(statSync(path).mode & 0o777).to.equal(0o600);
      await expectAccepted(sshd, trustOnFirstUse(path));
      await expectAccepted(sshd, knownHosts(path));
      expect(readFileSync(path, 'utf8')).to.equal(text);
      if (sshKeygen.present) {
        const host = sshd.port === 22 ? sshd.address : `[${sshd.address}]:${sshd.port}`;
        expect(execFileSync('ssh-keygen', ['-F', host, '-f', path], { encoding: 'utf8' })).to.include(
          'found',
        );
      }
    });

    describeFor('restart', 'and changed', () => {
      it('is a mismatch from then on, also for a verifier made anew from the file', async () => {
        const sshd = await stage.sshd();
        const path = join(directory, 'known_hosts');
        const verifier = trustOnFirstUse(path);
        await expectAccepted(sshd, verifier);
        const text = readFileSync(path, 'utf8');
        await sshd.restart({ newHostKeys: true });
        await expectRejected(sshd, verifier, 'mismatch');
        const error = await expectRejected(sshd, trustOnFirstUse(path), 'mismatch');
        expect(error.message).to.include(path);
        expect(readFileSync(path, 'utf8')).to.equal(text);
      });
    });

    describeFor('configure', 'and presented again at each key exchange (RekeyLimit 1M)', () => {
      it('costs the connection nothing, even when the file is gone meanwhile', async () => {
        const sshd = await stage.sshd({ config: ['RekeyLimit 1M'] });
        const path = join(directory, 'known_hosts');
        const dialer = stage.dialer(sshd, { ssh: { hostKeys: trustOnFirstUse(path) } });
        const shape = { streams: 4, bytes: 4 * MIB };
        expect(await exchange(dialer, sshd, shape)).to.deep.equal(expectedExchange(shape));
        rmSync(path);
        expect(await exchange(dialer, sshd, shape)).to.deep.equal(expectedExchange(shape));
        expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
      });
    });

    it('is written down once by many dialers at once', async () => {
      const sshd = await stage.sshd();
      const path = join(directory, 'known_hosts');
      const echo = await stage.use(startEcho(sshd));
      const dialers = Array.from({ length: 5 }, () =>
        stage.dialer(sshd, { ssh: { hostKeys: trustOnFirstUse(path) } }),
      );
      await Promise.all(dialers.map((dialer) => stage.dialEcho(dialer, echo)));
      expect(readFileSync(path, 'utf8').trim().split('\n')).to.have.lengthOf(1);
    });
  });

  it("may be given for each node, and then the dialer's verifier is not asked", async () => {
    const sshd = await stage.sshd();
    const nobody = knownHosts(knownHostsText('other.example', 22, [generateKeyPair().publicKey]));
    const dialer = stage.dialer(sshd, {
      nodes: [nodeOf(sshd, { hostKey: knownHosts(sshd.knownHosts) })],
      ssh: { hostKeys: nobody },
    });
    const socket = await stage.dialEcho(dialer, await stage.use(startEcho(sshd)));
    expect(socket.node).to.equal(NODE);
  });
});

/** The type of a public key in the words of the key generator. */
function typeOf(publicKey: string): KeyType {
  if (publicKey.startsWith('ssh-rsa')) return 'rsa';
  return publicKey.startsWith('ecdsa') ? 'ecdsa' : 'ed25519';
}
