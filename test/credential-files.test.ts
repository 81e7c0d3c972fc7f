import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { credentialFiles, type CredentialFilesOptions } from '../lib/credential-files.js';
import { ClosedError, InvalidOptionError } from '../lib/errors.js';
import type { SourceStatus, SshOptions } from '../lib/index.js';
import { generateKeyPair } from '../lib/testing/keys.js';
import type { SshNode } from '../lib/testing/index.js';
import type { TunnelDialer } from '../lib/tunnel-dialer.js';
import { Lab, rejection, roundTrip, until, type Endpoint } from './support/dialer.js';

describe('credentialFiles', () => {
  const next = generateKeyPair('ed25519');
  const stranger = generateKeyPair('ed25519');
  let lab: Lab;
  let node: SshNode;
  let endpoint: Endpoint;
  let directory: string;
  let privateKeyFile: string;
  let knownHostsFile: string;

  const knownHostsLine = (publicKey: string): string =>
    `[${node.spec.address}]:${node.spec.port} ${publicKey}\n`;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node({ authorizedKeys: [next.publicKey] });
    endpoint = await lab.endpoint();
    directory = await mkdtemp(join(tmpdir(), 'credential-files-'));
    privateKeyFile = join(directory, 'id_ed25519');
    knownHostsFile = join(directory, 'known_hosts');
    await writeFile(privateKeyFile, node.ssh.privateKey);
    await writeFile(knownHostsFile, knownHostsLine(node.hostKey.publicKey));
  });

  afterEach(async () => {
    await lab.end();
    await rm(directory, { recursive: true });
  });

  const files = (options: Partial<CredentialFilesOptions> = {}): SshOptions =>
    credentialFiles({ username: 'tunnel', privateKeyFile, knownHostsFile, intervalMs: 5, ...options });

  /** Its node has no user and host key of its own, so that those of `ssh` count. */
  const create = (ssh: SshOptions = files()): TunnelDialer =>
    lab.dialer([node], {
      nodes: [{ ...node.spec, hostKey: undefined, username: undefined }],
      ssh,
      pool: { maxChannelsPerConnection: 1 },
      reconnect: { minMs: 60_000, maxMs: 60_000 },
    });
  const dial = (dialer: TunnelDialer) => dialer.dial('127.0.0.1', endpoint.port);
  const statusOf = (dialer: TunnelDialer) => dialer.status().nodes[0]!;
  const told = async (dialer: TunnelDialer): Promise<SourceStatus> =>
    ((await once(dialer, 'credentials')) as [SourceStatus])[0];

  it('logs in with what is in the files', async () => {
    const dialer = create();
    await roundTrip(await dial(dialer));
    const { credentials } = dialer.status();
    expect(credentials).to.include({
      name: `files ${privateKeyFile} and ${knownHostsFile}`,
      state: 'current',
    });
    expect(credentials?.updatedAt).to.be.an.instanceOf(Date);
  });

  it('reads a key that has changed, tries refused nodes again, and streams live on', async () => {
    const dialer = create();
    const stream = await dial(dialer);
    await writeFile(privateKeyFile, stranger.privateKey);
    expect(await told(dialer)).to.include({ state: 'current' });
    const dialled = dial(dialer);
    await until('a refusal', () => statusOf(dialer).cause?.code === 'ERR_TUNNEL_AUTH');
    await writeFile(join(directory, 'new'), next.privateKey);
    await rename(join(directory, 'new'), privateKeyFile);
    await roundTrip(await dialled);
    await roundTrip(stream);
  });

  it('reads a known_hosts that has changed', async () => {
    await writeFile(knownHostsFile, knownHostsLine(stranger.publicKey));
    const dialer = create();
    expect(await rejection(dialer.ready())).to.include({ code: 'ERR_TUNNEL_HOST_KEY' });
    await writeFile(knownHostsFile, knownHostsLine(node.hostKey.publicKey));
    await told(dialer);
    await roundTrip(await dial(dialer));
  });

  it('follows a link that is turned, as in a mounted Secret', async () => {
    const link = join(directory, 'link');
    await symlink(privateKeyFile, link);
    await writeFile(join(directory, 'next'), stranger.privateKey);
    const dialer = create(files({ privateKeyFile: link }));
    const stream = await dial(dialer);
    await symlink(join(directory, 'next'), join(directory, 'turned'));
    await rename(join(directory, 'turned'), link);
    await told(dialer);
    const controller = new AbortController();
    const given = rejection(dialer.dial('127.0.0.1', endpoint.port, { signal: controller.signal }));
    await until('a refusal', () => statusOf(dialer).cause?.code === 'ERR_TUNNEL_AUTH');
    controller.abort();
    await given;
    await roundTrip(stream);
  });

  const mishaps: [what: string, befall: () => Promise<unknown>, said: () => RegExp][] = [
    ['the key is missing', () => unlink(privateKeyFile), () => /id_ed25519" \(ENOENT\)/],
    ['known_hosts is missing', () => unlink(knownHostsFile), () => /known_hosts" \(ENOENT\)/],
    [
      'the key is broken',
      () => writeFile(privateKeyFile, stranger.privateKey.slice(0, 200)),
      () => /ssh\.privateKey/,
    ],
    ['the key is empty', () => writeFile(privateKeyFile, ''), () => /ssh\.privateKey is empty/],
    ['known_hosts is broken', () => writeFile(knownHostsFile, 'node-1 ssh-ed'), () => /no usable line/],
  ];
  for (const [what, befall, said] of mishaps) {
    it(`keeps what it has read, and says so, while ${what}`, async () => {
      const dialer = create();
      await roundTrip(await dial(dialer));
      const { credentials } = dialer.status();
      await befall();
      const status = await told(dialer);
      expect(status).to.include({ state: 'stale', updatedAt: credentials?.updatedAt });
      expect(status.failure?.message).to.match(said());
      expect(inspect(status)).to.not.include(stranger.privateKey.split('\n')[2]);
      expect(dialer.status().credentials).to.deep.equal(status);
      await roundTrip(await dial(dialer));
      await writeFile(privateKeyFile, next.privateKey);
      await writeFile(knownHostsFile, knownHostsLine(node.hostKey.publicKey));
      await until('the mended file', () => dialer.status().credentials?.state === 'current');
      expect(dialer.status().credentials).to.not.have.property('failure');
      await roundTrip(await dial(dialer));
    });
  }

  it('refuses what is no file whose end is known, and waits for none', async () => {
    const refusalOf = (path: string, option: 'privateKeyFile' | 'knownHostsFile'): string => {
      try {
        files({ [option]: path });
        return 'none';
      } catch (error) {
        return String(error);
      }
    };
    for (const option of ['privateKeyFile', 'knownHostsFile'] as const)
      expect(refusalOf('/dev/null', option)).to.include('"/dev/null" (it is not a regular file)');
    const fifo = join(directory, 'fifo');
    execFileSync('mkfifo', [fifo]);
    for (const option of ['privateKeyFile', 'knownHostsFile'] as const)
      expect(refusalOf(fifo, option)).to.include('fifo" (it is not a regular file)');
    const dialer = create();
    await rename(fifo, privateKeyFile);
    expect((await told(dialer)).failure?.message).to.include('id_ed25519" (it is not a regular file)');
    await writeFile(join(directory, 'new'), node.ssh.privateKey);
    await rename(join(directory, 'new'), privateKeyFile);
    await rm(knownHostsFile);
    execFileSync('mkfifo', [knownHostsFile]);
    await until('the known_hosts that is none', () =>
      Boolean(dialer.status().credentials?.failure?.message.includes('known_hosts" (it is not a regular')),
    );
  });

  it('tells nothing of files that are as they were when they were read', async () => {
    const updates = files().updates!.follow(AbortSignal.timeout(200));
    expect(await rejection(updates[Symbol.asyncIterator]().next())).to.include({ name: 'AbortError' });
  });

  it('tells what was changed before anybody followed', async () => {
    const ssh = files();
    await writeFile(privateKeyFile, next.privateKey);
    const stop = new AbortController();
    const updates = ssh.updates!.follow(stop.signal)[Symbol.asyncIterator]();
    const { value } = (await updates.next()) as { value: SshOptions };
    expect(String(value.privateKey)).to.equal(next.privateKey);
    stop.abort();
    await updates.return?.();
  });

  it('tells all that it is to log in with, so that no part gets lost', async () => {
    const ssh = files({ agent: '/run/agent.sock', passphrase: 'unused' });
    expect(ssh).to.include({ agent: '/run/agent.sock', passphrase: 'unused' });
    await writeFile(knownHostsFile, `# changed\n${knownHostsLine(node.hostKey.publicKey)}`);
    const updates = ssh.updates!.follow(AbortSignal.timeout(10_000))[Symbol.asyncIterator]();
    const { value } = (await updates.next()) as { value: SshOptions };
    expect(value).to.include({ agent: '/run/agent.sock', passphrase: 'unused' });
    expect(Object.keys(value)).to.include.members(['privateKey', 'hostKeys']);
    await updates.return?.();
  });

  it('serves with one file, beside a verifier or an agent', async () => {
    const { hostKeys } = node.ssh;
    const keyOnly = create({ ...files({ knownHostsFile: undefined }), hostKeys });
    await roundTrip(await dial(keyOnly));
    expect(keyOnly.status().credentials?.name).to.equal(`file ${privateKeyFile}`);
    await writeFile(privateKeyFile, next.privateKey);
    await told(keyOnly);
    await roundTrip(await dial(keyOnly));
    const hostsOnly = create({ ...files({ privateKeyFile: undefined }), privateKey: next.privateKey });
    await roundTrip(await dial(hostsOnly));
    // What the file tells leaves the key alone.
    await writeFile(knownHostsFile, `# changed\n${knownHostsLine(node.hostKey.publicKey)}`);
    await told(hostsOnly);
    await roundTrip(await dial(hostsOnly));
  });

  it('cannot be overruled by updateCredentials()', () => {
    expect(() => create().updateCredentials({ privateKey: next.privateKey })).to.throw(
      InvalidOptionError,
      /id_ed25519 and .* tells the credentials/,
    );
  });

  for (const end of ['close', 'destroy'] as const) {
    it(`is left with ${end}()`, async () => {
      let isOver = false;
      const updates = {
        name: 'the test',
        async *follow(signal: AbortSignal) {
          try {
            await once(signal, 'abort');
            yield {};
          } finally {
            isOver = true;
          }
        },
      };
      const dialer = create({ ...node.ssh, updates });
      await dialer.ready();
      await dialer[end]();
      await until('the source to be left', () => isOver);
      expect(() => dialer.updateCredentials({})).to.throw(ClosedError);
    });
  }

  it('is not there in the status of a dialer without', () => {
    expect(create(node.ssh).status()).to.not.have.property('credentials');
  });

  const wrong: [problem: RegExp, options: Record<string, unknown>][] = [
    [/privateKeyFile cannot read .*missing" \(ENOENT\)/, { privateKeyFile: '/nonexistent/missing' }],
    [
      /^credentialFiles\(\)\.knownHostsFile cannot read .*missing" \(ENOENT\): give the path .* may read$/,
      { knownHostsFile: '/nonexistent/missing' },
    ],
    [/needs privateKeyFile or knownHostsFile/, { privateKeyFile: undefined, knownHostsFile: undefined }],
    [/privateKeyFile must be a non-empty string/, { privateKeyFile: '' }],
    [/intervalMs must be an integer/, { intervalMs: 0 }],
    [/did you mean .*privateKeyFile/, { privateKeyfile: 'x' }],
  ];
  for (const [problem, options] of wrong) {
    it(`refuses ${inspect(options)}`, () => {
      expect(() => files(options)).to.throw(InvalidOptionError, problem);
    });
  }

  it('leaves the rest to be judged by the dialer', () => {
    expect(() => create(files({ username: '' }))).to.throw(InvalidOptionError, 'ssh.username');
    expect(() => create({ ...node.ssh, updates: 'file' as never })).to.throw(
      InvalidOptionError,
      'ssh.updates',
    );
  });
});
