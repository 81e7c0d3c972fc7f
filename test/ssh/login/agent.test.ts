import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import type { ParsedKey } from 'ssh2';
import { Agent } from '../../../lib/ssh/login/agent.js';
import { blobOf, generateKeyFiles, useTempDir } from '../key-files.js';
import { startAgent } from './running-agent.js';

const MODULE = new URL('../../../lib/ssh/login/agent.ts', import.meta.url).href;

const identities = (agent: Agent): Promise<readonly ParsedKey[]> =>
  new Promise((resolve, reject) => {
    agent.getIdentities((error, keys) => {
      if (error) reject(error);
      else resolve((keys ?? []) as ParsedKey[]);
    });
  });

describe('an agent', () => {
  const inTempDir = useTempDir();

  const outcomes: string[] = [];
  const agentAt = (socketPath: string, except?: Buffer): Agent => {
    outcomes.length = 0;
    return new Agent({ socketPath, except, onKeys: (outcome) => outcomes.push(outcome) });
  };

  it('offers its keys but the one that was tried already', async () => {
    const [one, two] = ['one', 'two'].map((name) => generateKeyFiles(inTempDir(name), 'ed25519'));
    await using agent = await startAgent(inTempDir('agent'), one!.path, two!.path);
    const all = await identities(agentAt(agent.socketPath));
    expect(all.map((key) => key.getPublicSSH())).to.have.deep.members([
      blobOf(one!.publicKey),
      blobOf(two!.publicKey),
    ]);
    const rest = await identities(agentAt(agent.socketPath, blobOf(one!.publicKey)));
    expect(rest.map((key) => key.getPublicSSH())).to.deep.equal([blobOf(two!.publicKey)]);
    expect(outcomes).to.deep.equal(['1 key']);
  });

  it('signs with SHA-2 but not with SHA-1', async () => {
    const { path } = generateKeyFiles(inTempDir('key'), 'rsa', '', '-b', '1024');
    await using running = await startAgent(inTempDir('agent'), path);
    const agent = agentAt(running.socketPath);
    const [key] = await identities(agent);
    const data = randomBytes(50);
    const sign = (hash: 'sha1' | 'sha256' | 'sha512' | undefined): Promise<unknown> =>
      new Promise((resolve) => {
        agent.sign(key!, data, hash === undefined ? {} : { hash }, (error, signature) =>
          resolve(error ?? signature),
        );
      });
    for (const hash of ['sha256', 'sha512'] as const) {
      expect(key!.verify(data, (await sign(hash)) as Buffer, hash)).to.equal(true);
    }
    for (const hash of ['sha1', undefined] as const) {
      expect(await sign(hash))
        .to.be.instanceOf(Error)
        .with.property('message')
        .that.includes('SHA-1');
    }
  });

  it('that is not there counts as one without keys', async () => {
    expect(await identities(agentAt(inTempDir('missing')))).to.deep.equal([]);
    expect(outcomes[0]).to.match(/^out of reach: /);
  });

  it('that talks rubbish or hangs up counts as one without keys', async () => {
    for (const answer of [
      '',
      'SSH-2.0-OpenSSH\r\n',
      Buffer.from([0, 0, 0, 1, 5]),
      Buffer.from([0, 0, 0, 5, 12, 0xff, 0xff, 0xff, 0xff]),
    ]) {
      const server = createServer((socket) => {
        socket.on('error', () => undefined).once('data', () => socket.end(answer));
      });
      const path = inTempDir(`agent-${Buffer.from(answer).toString('hex')}`);
      server.listen(path);
      await once(server, 'listening');
      expect(await identities(agentAt(path))).to.deep.equal([]);
      expect(outcomes[0]).to.match(/^out of reach: /);
      server.close();
      await once(server, 'close');
    }
  });

  it('that never answers does not keep the process alive', async () => {
    const server = createServer((socket) => socket.on('error', () => undefined).resume());
    const path = inTempDir('agent');
    server.listen(path);
    await once(server, 'listening');
    const script = `
      import { Agent } from ${JSON.stringify(MODULE)};
      const agent = new Agent({ socketPath: ${JSON.stringify(path)}, except: undefined, onKeys: (outcome) => console.log(outcome) });
      agent.getIdentities(() => console.log('answered'));
      process.on('exit', () => console.log('exit'));`;
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const output = (await child.stdout.toArray()).join('');
    expect(output).to.equal('exit\n');
    server.close();
    await once(server, 'close');
  });
});
