import { expect } from 'chai';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AuthenticationError, NodeUnavailableError, type SshOptions } from '../../lib/index.js';
import { describeFor, type Feature } from '../support/applicability.js';
import { rejection } from '../support/dialer.js';
import { startEcho } from '../support/endpoints.js';
import { findProgram } from '../support/find-program.js';
import { generateKeyPair, type KeyType } from '../support/ssh-keys.js';
import type { Sshd } from '../support/sshd.js';
import { temporaryDirectory } from '../support/sshd-files.js';
import { nodeStatus, Stage } from './stage.js';

const KEY_TYPES: readonly KeyType[] = ['ed25519', 'ecdsa', 'rsa'];
const PASSPHRASE = 'correct horse battery staple';

const sshKeygen: Feature = { name: 'ssh-keygen', present: findProgram('ssh-keygen') !== undefined };
const sshAgent: Feature = {
  name: 'ssh-agent',
  present: findProgram('ssh-agent') !== undefined && findProgram('ssh-add') !== undefined,
};

describe('the login to a real sshd', () => {
  const stage = new Stage();
  let directory: string;

  beforeEach(() => {
    directory = temporaryDirectory();
    stage.onEnd(() => rmSync(directory, { recursive: true, force: true }));
  });
  afterEach(() => stage.end());

  async function expectLogin(sshd: Sshd, ssh: Partial<SshOptions>): Promise<void> {
    const dialer = stage.dialer(sshd, { ssh: { privateKey: undefined, ...ssh } });
    await stage.dialEcho(dialer, await stage.use(startEcho(sshd)));
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
  }

  /** The user's key as ssh-keygen converts it. */
  function converted({ privateKey }: Sshd, ...options: string[]): string {
    const path = join(directory, 'key');
    writeFileSync(path, privateKey, { mode: 0o600 });
    execFileSync('ssh-keygen', ['-p', '-q', '-P', '', '-f', path, ...options], { stdio: 'ignore' });
    return readFileSync(path, 'utf8');
  }

  describeFor(['configure', 'log'], 'with a key', () => {
    for (const type of KEY_TYPES) {
      it(`(${type}) works`, async () => {
        const sshd = await stage.sshd({ userKeyType: type });
        await expectLogin(sshd, { privateKey: sshd.privateKey });
        await sshd.waitForLog(new RegExp(`Accepted publickey for .*: ${type.toUpperCase()} SHA256:`));
      });
    }

    it('of RSA signs with SHA-2, and needs nothing older', async () => {
      const config = ['PubkeyAcceptedAlgorithms rsa-sha2-256,rsa-sha2-512', 'HostKeyAlgorithms ssh-ed25519'];
      const sshd = await stage.sshd({ userKeyType: 'rsa', config });
      await expectLogin(sshd, { privateKey: sshd.privateKey });
    });
  });

  describeFor(['configure', sshKeygen], 'with a key file of ssh-keygen', () => {
    const FORMS: Record<string, readonly [heading: RegExp, ...options: string[]]> = {
      'in PEM': [/BEGIN (RSA |EC )?PRIVATE KEY|OPENSSH/, '-m', 'PEM', '-N', ''],
      'in PKCS#8': [/BEGIN PRIVATE KEY|OPENSSH/, '-m', 'PKCS8', '-N', ''],
      'in OpenSSH form, encrypted': [/OPENSSH/, '-a', '1', '-N', PASSPHRASE],
      'in PEM, encrypted': [/ENCRYPTED|OPENSSH/, '-m', 'PEM', '-a', '1', '-N', PASSPHRASE],
      'in PKCS#8, encrypted': [/ENCRYPTED|OPENSSH/, '-m', 'PKCS8', '-a', '1', '-N', PASSPHRASE],
    };
    for (const type of KEY_TYPES) {
      it(`of type ${type} works in every form`, async () => {
        const sshd = await stage.sshd({ userKeyType: type });
        for (const [name, [heading, ...options]] of Object.entries(FORMS)) {
          const privateKey = converted(sshd, ...options);
          expect(privateKey, name).to.match(heading);
          const passphrase = name.endsWith('encrypted') ? PASSPHRASE : undefined;
          await expectLogin(sshd, { privateKey, passphrase });
        }
      });
    }
  });

  describeFor(sshAgent, 'with a real ssh-agent', () => {
    let path: string;
    let add: (privateKey: string) => void;

    beforeEach(async () => {
      path = join(directory, 'agent.sock');
      const agent = spawn('ssh-agent', ['-D', '-a', path], { stdio: ['ignore', 'pipe', 'inherit'] });
      const exited = once(agent, 'exit');
      stage.onEnd(async () => {
        agent.kill();
        await exited;
      });
      await once(agent.stdout, 'data'); // it says where it listens once it does
      const env = { ...process.env, SSH_AUTH_SOCK: path };
      add = (privateKey) =>
        void execFileSync('ssh-add', ['-q', '-'], { env, input: privateKey, stdio: 'pipe' });
    });

    it('works', async () => {
      const sshd = await stage.sshd();
      add(sshd.privateKey);
      await expectLogin(sshd, { agent: path });
    });

    it('that holds other keys, too, works', async () => {
      const sshd = await stage.sshd();
      add(generateKeyPair('ecdsa').privateKey);
      add(generateKeyPair('rsa').privateKey);
      add(sshd.privateKey);
      await expectLogin(sshd, { agent: path });
    });

    it('is asked when the private key is refused', async () => {
      const sshd = await stage.sshd();
      add(sshd.privateKey);
      await expectLogin(sshd, { agent: path, privateKey: generateKeyPair().privateKey });
    });

    it('named by SSH_AUTH_SOCK works', async () => {
      const before = process.env.SSH_AUTH_SOCK;
      stage.onEnd(() => {
        if (before === undefined) delete process.env.SSH_AUTH_SOCK;
        else process.env.SSH_AUTH_SOCK = before;
      });
      process.env.SSH_AUTH_SOCK = path;
      const sshd = await stage.sshd();
      add(sshd.privateKey);
      await expectLogin(sshd, { agent: true });
    });

    describeFor('configure', 'and keys of each type', () => {
      for (const type of KEY_TYPES) {
        it(`(${type}) works`, async () => {
          const sshd = await stage.sshd({ userKeyType: type });
          add(sshd.privateKey);
          await expectLogin(sshd, { agent: path });
        });
      }
    });

    it('that holds no key of the user is an AuthenticationError', async () => {
      const sshd = await stage.sshd();
      add(generateKeyPair().privateKey);
      const dialer = stage.dialer(sshd, { ssh: { privateKey: undefined, agent: path } });
      const error = await rejection(dialer.dial('127.0.0.1', 9));
      expect(error).to.be.an.instanceOf(AuthenticationError);
      expect(error.message).to.include('agent (1 key');
    });

    it('that is not there makes the node unavailable, and the error says so', async () => {
      const sshd = await stage.sshd();
      const nowhere = join(directory, 'nowhere.sock');
      const dialer = stage.dialer(sshd, { ssh: { privateKey: undefined, agent: nowhere } });
      const error = await rejection(dialer.dial('127.0.0.1', 9));
      expect(error).to.be.an.instanceOf(NodeUnavailableError);
      expect(error.message).to.include('agent (out of reach').and.include('ssh-add');
    });
  });
});
