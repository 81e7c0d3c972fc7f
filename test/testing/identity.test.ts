import { expect } from 'chai';
import { expectTypeOf } from 'expect-type';
import { once } from 'node:events';
import { inspect } from 'node:util';
import ssh2, { type ParsedKey, type PublicKeyAuthMethod } from 'ssh2';
import type { HostKeyVerifier, NodeSpec, SshOptions } from '../../lib/index.js';
import {
  type HostKeyType,
  type SshNode,
  type SshNodeLogin,
  type SshNodeOptions,
  type SshNodeSpec,
  startSshNode,
} from '../../lib/testing/index.js';
import { fingerprint, generateKeyPair, wireFormat } from '../../lib/testing/keys.js';
import { begin, connect } from './peer.js';

describe('testing: identity of an SSH node', () => {
  const nodes: SshNode[] = [];
  const start = async (options?: SshNodeOptions): Promise<SshNode> => {
    const node = await startSshNode(options);
    nodes.push(node);
    return node;
  };
  const seenBy = async (node: SshNode): Promise<string> => {
    let seen = '';
    const { client } = await connect(node, {
      hostVerifier: (key: Buffer) => {
        seen = fingerprint(key);
        return true;
      },
    });
    client.end();
    return seen;
  };

  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.close()));
  });

  for (const [type, name] of [
    ['ed25519', 'ssh-ed25519'],
    ['ecdsa', 'ecdsa-sha2-nistp256'],
    ['rsa', 'ssh-rsa'],
  ] satisfies [HostKeyType, string][]) {
    it(`shows a host key of type ${name}, the one it names`, async () => {
      const node = await start({ hostKeyType: type });
      expect(node.hostKey.type).to.equal(name);
      expect(node.hostKey.publicKey.split(' ')[0]).to.equal(name);
      expect(await seenBy(node)).to.equal(node.hostKey.fingerprint);
      expect(node.spec.hostKey).to.equal(node.hostKey.fingerprint);
    });
  }

  it('makes keys that parse and sign, every time', () => {
    // A generator that is wrong for one key in 300 passes this with a probability of 4 %.
    for (let round = 0; round < 1000; round += 1) {
      const { publicKey, privateKey } = generateKeyPair('ed25519');
      expect(parse(publicKey).verify('data', parse(privateKey).sign('data'))).to.equal(true);
    }
  });

  it('shows another key after a change, and the old one to nobody new', async () => {
    const node = await start();
    const before = node.hostKey;
    const changed = node.changeHostKey();
    expect(changed.fingerprint).to.not.equal(before.fingerprint);
    expect(changed.type).to.equal(before.type);
    expect(await seenBy(node)).to.equal(changed.fingerprint);
    expect(node.changeHostKey('ecdsa').type).to.equal('ecdsa-sha2-nistp256');
    expect(node.changeHostKey().type).to.equal('ecdsa-sha2-nistp256');
  });

  it('keeps the key of a connection that is open, also when it rekeys', async () => {
    const node = await start();
    const seen: string[] = [];
    await connect(node, { hostVerifier: (key: Buffer) => seen.push(fingerprint(key)) > 0 });
    const before = node.hostKey.fingerprint;
    node.changeHostKey();
    await node.rekey();
    expect(seen).to.deep.equal([before, before]);
  });

  it('gives a verifier that knows the key of its moment only', async () => {
    const node = await start();
    const other = await start();
    const { hostKeys } = node.ssh;
    const before = wireFormat(node.hostKey.publicKey);
    const after = wireFormat(node.changeHostKey().publicKey);
    const { port } = node.spec;
    expect(hostKeys.keyTypes()).to.deep.equal(['ssh-ed25519']);
    expect(hostKeys.verify({ port }, before)).to.deep.equal({ verdict: 'accepted' });
    expect(hostKeys.verify({ port }, after)).to.include({ verdict: 'rejected', reason: 'mismatch' });
    expect(hostKeys.verify({ port: other.spec.port }, after)).to.include({ reason: 'unknown' });
    expect(node.ssh.hostKeys.verify({ port }, after)).to.include({ verdict: 'accepted' });
  });

  it('fits the options of a dialer', () => {
    expectTypeOf<SshNodeSpec>().toExtend<NodeSpec>();
    expectTypeOf<SshNodeLogin>().toExtend<SshOptions>();
    expectTypeOf<SshNodeLogin['hostKeys']>().toExtend<HostKeyVerifier>();
  });

  it('writes its line for known_hosts', async () => {
    const node = await start();
    const { port } = node.spec;
    expect(node.knownHostsLine).to.equal(`[127.0.0.1]:${port} ${node.hostKey.publicKey}`);
  });

  it('names the address to connect to, whatever it listens on', async () => {
    const everywhere = await start({ host: '0.0.0.0' });
    expect(everywhere.spec.address).to.equal('127.0.0.1');
    await connect(everywhere);
    const v6 = await start({ host: '[::1]' });
    expect(v6.spec.address).to.equal('::1');
    await connect(v6);
    const named = await start({ host: 'localhost', name: 'worker', username: 'proxy' });
    expect(named.spec).to.include({ address: 'localhost', name: 'worker', username: 'proxy' });
    await connect(named);
  });

  it('identifies itself as it is told', async () => {
    const node = await start({ ident: 'OpenSSH_9.2p1 Debian-2' });
    const lines: string[] = [];
    await connect(node, { debug: (line) => lines.push(line) });
    expect(lines.join('\n')).to.include('SSH-2.0-OpenSSH_9.2p1 Debian-2');
  });

  it('lets in only its user, by a known key', async () => {
    const stranger = generateKeyPair('ed25519');
    const guest = generateKeyPair('rsa');
    const node = await start({ authorizedKeys: [`  ${guest.publicKey} guest@example`] });
    await connect(node);
    await connect(node, { privateKey: guest.privateKey });
    for (const config of [{ username: 'root' }, { privateKey: stranger.privateKey }]) {
      const refused = begin(node, config);
      await refused.closed;
      expect(refused.errors[0]).to.include({ level: 'client-authentication' });
    }
    const password = begin(node, { privateKey: undefined as unknown as string, password: 'secret' });
    await password.closed;
    expect(password.errors[0]).to.include({ level: 'client-authentication' });
  });

  it('asks for a signature and checks it', async () => {
    const lines: string[] = [];
    const node = await start({ onLog: (line) => lines.push(line) });
    const known = parse(node.ssh.privateKey);
    const stranger = parse(generateKeyPair('ed25519').privateKey);
    known.sign = (data) => stranger.sign(data);
    const method: PublicKeyAuthMethod = { type: 'publickey', username: node.ssh.username, key: known };
    const refused = begin(node, { authHandler: [method] });
    await refused.closed;
    expect(refused.errors[0]).to.include({ level: 'client-authentication' });
    expect(lines.join('\n')).to.include('log-in refused: wrong signature');
  });

  it('shows no private key when it is inspected', async () => {
    const node = await start();
    const secret = node.ssh.privateKey.split('\n')[2]!;
    expect(inspect(node, { depth: 9, showHidden: true })).to.not.include(secret);
  });

  it('logs what happens, without keys', async () => {
    const lines: string[] = [];
    const node = await start({ onLog: (line) => lines.push(line) });
    const { client } = await connect(node);
    client.end();
    await once(client, 'close');
    await node.until(({ connections }) => connections === 0);
    await node.close();
    const text = lines.join('\n');
    expect(text).to.match(
      /^node-1: listening on 127\.0\.0\.1 port \d+\nnode-1: connection 1: accepted from 127\.0\.0\.1/,
    );
    expect(text).to.match(/tunnel logged in with SHA256:/);
    expect(text).to.not.include('PRIVATE KEY');
  });

  it('survives a log that throws', async () => {
    const node = await start({
      onLog: () => {
        throw new Error('disk full');
      },
    });
    await connect(node);
  });
});

function parse(text: string): ParsedKey {
  const key = ssh2.utils.parseKey(text);
  if (key instanceof Error) throw key;
  return key;
}
