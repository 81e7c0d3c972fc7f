import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { Client, type AuthContext, type PublicKeyAuthContext } from 'ssh2';
import ssh2 from 'ssh2';
import { InvalidOptionError } from '../../../lib/errors.js';
import {
  Credentials,
  type CredentialOptions,
  type LoginAttempt,
} from '../../../lib/ssh/login/credentials.js';
import { blobOf, generateKeyFiles, useTempDir, type KeyFiles } from '../key-files.js';
import { startAgent } from './running-agent.js';

type Judge = (context: AuthContext) => void;

/**
 * Lets ssh2 log in to an SSH server in this process; says whether it could, and which errors came on the way.
 */
async function logIn(
  attempt: LoginAttempt,
  hostKey: string,
  judge: Judge,
): Promise<{ ok: boolean; errors: string[] }> {
  const server = new ssh2.Server({ hostKeys: [hostKey] }, (connection) => {
    connection.on('error', () => undefined).on('authentication', judge);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new Client();
  const errors: string[] = [];
  const outcome = new Promise<boolean>((resolve) => {
    client.on('ready', () => resolve(true));
    client.on('close', () => resolve(false));
    client.on('error', (error: Error & { level?: string }) => {
      errors.push(error.level ?? 'none');
      if (error.level === 'agent') attempt.agentFailed(error);
    });
  });
  const { port } = server.address() as AddressInfo;
  client.connect({ host: '127.0.0.1', port, username: 'tunnel', authHandler: attempt.authHandler });
  const ok = await outcome;
  client.destroy();
  server.close();
  await once(server, 'close');
  return { ok, errors };
}

const isFor = (context: AuthContext, ...keys: readonly KeyFiles[]): context is PublicKeyAuthContext =>
  context.method === 'publickey' && keys.some(({ publicKey }) => context.key.data.equals(blobOf(publicKey)));

/** A server that takes the given keys of the user `tunnel`, and notes all that it is asked. */
function takes(...keys: readonly KeyFiles[]): Judge & { methods: string[] } {
  const methods: string[] = [];
  const judge = (context: AuthContext): void => {
    methods.push(context.method);
    if (context.username === 'tunnel' && isFor(context, ...keys)) context.accept();
    else context.reject(['publickey']);
  };
  return Object.assign(judge, { methods });
}

function refusal(options: CredentialOptions): InvalidOptionError {
  try {
    new Credentials(options);
  } catch (error) {
    expect(error).to.be.instanceOf(InvalidOptionError);
    return error as InvalidOptionError;
  }
  throw new Error('nothing was thrown');
}

describe('Credentials', () => {
  const inTempDir = useTempDir();
  const key = (name: string, type = 'ed25519', passphrase = '', ...options: string[]): KeyFiles =>
    generateKeyFiles(inTempDir(name), type, passphrase, ...options);
  let hostKey: string;
  beforeEach(() => {
    hostKey = key('host').privateKey;
  });

  describe('log in', () => {
    for (const [type, ...options] of [
      ['ed25519'],
      ['ecdsa'],
      ['rsa', '-b', '1024'],
      ['rsa', '-b', '1024', '-m', 'PKCS8'],
    ]) {
      it(`with a private key, without asking for method none first (${[type, ...options].join(' ')})`, async () => {
        const mine = key('mine', type, 'passphrase', ...options);
        const credentials = new Credentials({ privateKey: mine.privateKey, passphrase: 'passphrase' });
        const attempt = credentials.attempt('tunnel');
        const judge = takes(mine);
        expect(await logIn(attempt, hostKey, judge)).to.deep.equal({ ok: true, errors: [] });
        expect(new Set(judge.methods)).to.deep.equal(new Set(['publickey']));
        expect(attempt.tried).to.deep.equal([
          `publickey (${mine.publicKey.split(' ')[0]} ${mine.fingerprint})`,
        ]);
      });
    }

    it('again and again with one object', async () => {
      const mine = key('mine');
      const credentials = new Credentials({ privateKey: Buffer.from(mine.privateKey) });
      for (let round = 0; round < 3; round++) {
        expect((await logIn(credentials.attempt('tunnel'), hostKey, takes(mine))).ok).to.equal(true);
      }
    });

    it('with a key of an agent', async () => {
      const [one, two] = [key('one'), key('two', 'rsa', '', '-b', '1024')];
      await using agent = await startAgent(inTempDir('agent'), one.path, two.path);
      const attempt = new Credentials({ agent: agent.socketPath }).attempt('tunnel');
      expect(await logIn(attempt, hostKey, takes(two))).to.deep.equal({ ok: true, errors: [] });
      expect(attempt.tried).to.deep.equal(['agent (2 keys)']);
    });

    it('with the agent that SSH_AUTH_SOCK names when they were made', async () => {
      const mine = key('mine');
      await using agent = await startAgent(inTempDir('agent'), mine.path);
      const { SSH_AUTH_SOCK: before } = process.env;
      try {
        process.env.SSH_AUTH_SOCK = agent.socketPath;
        const credentials = new Credentials({ agent: true });
        process.env.SSH_AUTH_SOCK = inTempDir('another');
        expect((await logIn(credentials.attempt('tunnel'), hostKey, takes(mine))).ok).to.equal(true);
      } finally {
        if (before === undefined) delete process.env.SSH_AUTH_SOCK;
        else process.env.SSH_AUTH_SOCK = before;
      }
    });

    it('with the agent when the key is refused, which is not tried a second time from there', async () => {
      const [mine, other] = [key('mine'), key('other', 'ecdsa')];
      await using agent = await startAgent(inTempDir('agent'), mine.path, other.path);
      const attempt = new Credentials({ privateKey: mine.privateKey, agent: agent.socketPath }).attempt(
        'tunnel',
      );
      const asked: string[] = [];
      const judge = takes(other);
      const { ok } = await logIn(attempt, hostKey, (context) => {
        if (context.method === 'publickey') asked.push(context.key.algo);
        judge(context);
      });
      expect(ok).to.equal(true);
      // The second key is asked about, and then signed with.
      expect(asked).to.deep.equal(['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp256']);
      expect(attempt.tried).to.deep.equal([`publickey (ssh-ed25519 ${mine.fingerprint})`, 'agent (1 key)']);
      expect(attempt.accepted).to.deep.equal(['publickey']);
    });
  });

  describe('fail to log in', () => {
    it('and say what was tried and what the node accepts', async () => {
      const mine = key('mine');
      const attempt = new Credentials({ privateKey: mine.privateKey }).attempt('tunnel');
      const outcome = await logIn(attempt, hostKey, (context) => context.reject(['publickey', 'hostbased']));
      expect(outcome).to.deep.equal({ ok: false, errors: ['client-authentication'] });
      expect(attempt.tried).to.deep.equal([`publickey (ssh-ed25519 ${mine.fingerprint})`]);
      expect(attempt.accepted).to.deep.equal(['publickey', 'hostbased']);
    });

    it('without troubling the agent when the node takes no public keys', async () => {
      const mine = key('mine');
      await using agent = await startAgent(inTempDir('agent'), key('other').path);
      const attempt = new Credentials({ privateKey: mine.privateKey, agent: agent.socketPath }).attempt(
        'tunnel',
      );
      expect((await logIn(attempt, hostKey, (context) => context.reject(['password']))).ok).to.equal(false);
      expect(attempt.tried).to.have.length(1);
      expect(attempt.accepted).to.deep.equal(['password']);
    });

    it('and say that the key was right when the node wants more', async () => {
      const mine = key('mine');
      await using agent = await startAgent(inTempDir('agent'));
      const attempt = new Credentials({ privateKey: mine.privateKey, agent: agent.socketPath }).attempt(
        'tunnel',
      );
      const { ok } = await logIn(attempt, hostKey, (context) => {
        if (isFor(context, mine) && context.signature === undefined) context.accept();
        else context.reject(['publickey', 'password'], true);
      });
      expect(ok).to.equal(false);
      expect(attempt.tried).to.deep.equal([
        `publickey (ssh-ed25519 ${mine.fingerprint}), which was right but is not enough`,
        'agent (no keys)',
      ]);
    });

    it('in peace when the agent is gone', async () => {
      const mine = key('mine');
      const agent = await startAgent(inTempDir('agent'), mine.path);
      const credentials = new Credentials({ agent: agent.socketPath });
      await agent[Symbol.asyncDispose]();
      const attempt = credentials.attempt('tunnel');
      expect(await logIn(attempt, hostKey, takes(mine))).to.deep.equal({
        ok: false,
        errors: ['client-authentication'],
      });
      expect(attempt.tried).to.have.length(1);
      expect(attempt.tried[0]).to.match(/^agent \(out of reach: /);
      expect(attempt.tried[0]).to.not.include(agent.socketPath);
    });

    it('but go on to the next key when the agent fails to sign', async () => {
      const [refusing, good] = [key('refusing'), key('good', 'ecdsa')];
      // ssh-add -c: each use of the key must be confirmed, and there is nobody to do so.
      await using agent = await startAgent(inTempDir('agent'), '-c', refusing.path, '--', good.path);
      const attempt = new Credentials({ agent: agent.socketPath }).attempt('tunnel');
      expect(await logIn(attempt, hostKey, takes(refusing, good))).to.deep.equal({
        ok: true,
        errors: ['agent'],
      });
    });

    it('rather than sign with SHA-1', () => {
      const mine = key('mine', 'rsa', '', '-b', '1024');
      const attempt = new Credentials({ privateKey: mine.privateKey }).attempt('tunnel');
      const method = attempt.authHandler(null, null);
      if (method === false || method.type !== 'publickey') throw new Error('no public key was offered');
      // ssh2 asks for these when a server does not announce SHA-2.
      for (const hash of [undefined, 'sha1']) {
        expect(method.key.sign(Buffer.from('x'), hash)).to.be.instanceOf(Error);
      }
      expect(method.key.sign(Buffer.from('x'), 'sha256')).to.be.instanceOf(Buffer);
      expect(attempt.tried[0]).to.include(mine.fingerprint).and.to.include('SHA-1');
    });
  });

  describe('show nothing of the key', () => {
    it('in util.inspect, JSON, a template or their properties: only its type and fingerprint', () => {
      const mine = key('mine', 'ed25519', 'my passphrase');
      const credentials = new Credentials({
        privateKey: mine.privateKey,
        passphrase: 'my passphrase',
        agent: inTempDir('agent'),
      });
      const attempt = credentials.attempt('tunnel');
      const shown = [
        inspect(credentials),
        inspect({ ssh: { credentials } }, { depth: Infinity, showHidden: true }),
        JSON.stringify(credentials),
        // eslint-disable-next-line @typescript-eslint/no-base-to-string -- what it shows is the question
        String(credentials),
        inspect(attempt, { depth: Infinity, showHidden: true }),
        JSON.stringify(attempt),
        inspect(Object.getOwnPropertyDescriptors(credentials)),
      ];
      const secrets = ['my passphrase', 'PRIVATE KEY', ...mine.privateKey.split('\n').slice(1, -2)];
      for (const text of shown) for (const secret of secrets) expect(text).to.not.include(secret);
      const name = `ssh-ed25519 ${mine.fingerprint}`;
      expect(inspect(credentials)).to.include(name);
      expect(JSON.parse(JSON.stringify(credentials))).to.deep.equal({ privateKey: name, agent: true });
    });
  });

  describe('are refused', () => {
    it('without key and agent', () => {
      for (const options of [{}, { privateKey: undefined, agent: undefined }]) {
        expect(refusal(options).message).to.include('ssh.privateKey or ssh.agent is needed');
      }
    });

    it('with a passphrase and no key', () => {
      expect(refusal({ agent: '/agent', passphrase: 'x' }).option).to.equal('ssh.passphrase');
    });

    it('with an agent that is not set', () => {
      const { SSH_AUTH_SOCK: before } = process.env;
      try {
        delete process.env.SSH_AUTH_SOCK;
        expect(refusal({ agent: true }).message).to.include('SSH_AUTH_SOCK is not set');
        process.env.SSH_AUTH_SOCK = '';
        expect(refusal({ agent: true }).option).to.equal('ssh.agent');
      } finally {
        if (before === undefined) delete process.env.SSH_AUTH_SOCK;
        else process.env.SSH_AUTH_SOCK = before;
      }
    });

    it('with an agent that is neither true nor a path', () => {
      for (const agent of ['', false, null, 42, {}]) {
        expect(refusal({ agent: agent as string }).option).to.equal('ssh.agent');
      }
    });

    it('with a key that needs a passphrase, before anything is connected', () => {
      const mine = key('mine', 'ed25519', 'my passphrase');
      expect(refusal({ privateKey: mine.privateKey }).option).to.equal('ssh.passphrase');
      const wrong = refusal({ privateKey: mine.privateKey, passphrase: 'your passphrase' });
      expect(wrong).to.include({ option: 'ssh.passphrase', code: 'ERR_TUNNEL_INVALID_OPTION' });
      expect(inspect(wrong)).to.not.include('your passphrase');
    });
  });
});
