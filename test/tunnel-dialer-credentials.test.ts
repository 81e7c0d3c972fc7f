import { expect } from 'chai';
import { ClosedError, InvalidOptionError, NodeUnavailableError } from '../lib/errors.js';
import { pinnedHostKey, type CredentialsUpdate, type SshOptions } from '../lib/index.js';
import { generateKeyPair } from '../lib/testing/keys.js';
import type { SshNode } from '../lib/testing/index.js';
import type { TunnelDialer } from '../lib/tunnel-dialer.js';
import { gate, Lab, rejection, roundTrip, turns, until, type Endpoint } from './support/dialer.js';

/** Whoever waits in one of these tests waits for good. */
const reconnect = { minMs: 60_000, maxMs: 60_000 };

describe('TunnelDialer: updateCredentials', () => {
  const next = generateKeyPair('ed25519');
  const stranger = generateKeyPair('ed25519');
  let lab: Lab;
  let node: SshNode;
  let endpoint: Endpoint;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node({ authorizedKeys: [next.publicKey] });
    endpoint = await lab.endpoint();
  });

  afterEach(async () => {
    await lab.end();
  });

  /** Its node has no user and host key of its own, so that those of `ssh` count. */
  const create = (ssh: Partial<SshOptions> = {}, pool = {}): TunnelDialer =>
    lab.dialer([node], {
      nodes: [{ ...node.spec, hostKey: undefined, username: undefined }],
      ssh: { ...node.ssh, ...ssh },
      pool,
      reconnect,
    });
  const dial = (dialer: TunnelDialer) => dialer.dial('127.0.0.1', endpoint.port);
  const statusOf = (dialer: TunnelDialer) => dialer.status().nodes[0]!;
  const oneEach = { maxChannelsPerConnection: 1 };

  /** Why no further connection can be made for a dial. */
  async function refusalOf(dialer: TunnelDialer): Promise<{ code: string; message: string }> {
    const controller = new AbortController();
    const given = rejection(dialer.dial('127.0.0.1', endpoint.port, { signal: controller.signal }));
    await until('a refusal', () => statusOf(dialer).state === 'degraded');
    const { cause } = statusOf(dialer);
    controller.abort();
    await given;
    return cause!;
  }

  it('has new connections log in with the new key, while those that are up go on with their streams', async () => {
    const dialer = create({}, oneEach);
    const stream = await dial(dialer);
    dialer.updateCredentials({ privateKey: next.privateKey });
    await roundTrip(await dial(dialer));
    await roundTrip(stream);
    expect(node).to.include({ connections: 2, totalConnections: 2 });
    dialer.updateCredentials({ privateKey: stranger.privateKey });
    expect(await refusalOf(dialer)).to.include({ code: 'ERR_TUNNEL_AUTH' });
    await roundTrip(stream);
    expect(node.connections).to.equal(2);
  });

  it('has new connections log in as the new user, and know the nodes by the new verifier', async () => {
    const dialer = create({}, oneEach);
    const stream = await dial(dialer);
    dialer.updateCredentials({ username: 'somebody-else' });
    expect((await refusalOf(dialer)).message).to.include('somebody-else');
    dialer.updateCredentials({
      username: node.ssh.username,
      hostKeys: pinnedHostKey(stranger.publicKey),
    });
    expect(await refusalOf(dialer)).to.include({ code: 'ERR_TUNNEL_HOST_KEY' });
    dialer.updateCredentials({ hostKeys: pinnedHostKey(node.hostKey.publicKey) });
    await roundTrip(await dial(dialer));
    await roundTrip(stream);
  });

  it('leaves a node its own user and host key', async () => {
    const dialer = lab.dialer([node], {
      nodes: [{ ...node.spec, username: node.ssh.username }],
      ssh: { ...node.ssh, username: 'somebody-else' },
      pool: oneEach,
    });
    dialer.updateCredentials({ username: 'nobody', hostKeys: pinnedHostKey(stranger.publicKey) });
    await roundTrip(await dial(dialer));
    await roundTrip(await dial(dialer));
  });

  const mendings: [what: string, wrong: () => Partial<SshOptions>, right: () => CredentialsUpdate][] = [
    ['key', () => ({ privateKey: stranger.privateKey }), () => ({ privateKey: next.privateKey })],
    ['user', () => ({ username: 'nobody' }), () => ({ username: node.ssh.username })],
    [
      'host key',
      () => ({ hostKeys: pinnedHostKey(stranger.publicKey) }),
      () => ({ hostKeys: pinnedHostKey(node.hostKey.publicKey) }),
    ],
  ];
  for (const [what, wrong, right] of mendings) {
    it(`has a node tried again at once that waits because of a refused ${what}`, async () => {
      const dialer = create(wrong());
      await rejection(dialer.ready());
      expect(statusOf(dialer)).to.include({ state: 'down' });
      dialer.updateCredentials(right());
      expect(statusOf(dialer)).to.include({ state: 'connecting' });
      await dialer.ready();
      await roundTrip(await dial(dialer));
      expect(statusOf(dialer).counts).to.deep.equal({ connected: 1, failed: 1, lost: 0 });
    });
  }

  it('lets the next dial try a node again that is connected on demand', async () => {
    const dialer = create({ privateKey: stranger.privateKey }, { minConnections: 0 });
    await rejection(dial(dialer));
    expect(await rejection(dial(dialer))).to.be.an.instanceOf(NodeUnavailableError);
    dialer.updateCredentials({ privateKey: next.privateKey });
    expect(statusOf(dialer)).to.include({ state: 'idle' });
    await roundTrip(await dial(dialer));
  });

  it('leaves a node alone that is waited for because it is gone', async () => {
    await node.stop();
    const dialer = create();
    await until('a failure', () => statusOf(dialer).counts.failed === 1);
    dialer.updateCredentials({ privateKey: next.privateKey });
    await turns(5);
    expect(statusOf(dialer)).to.include({ state: 'down' });
    expect(statusOf(dialer).counts.failed).to.equal(1);
  });

  for (const minConnections of [0, 1]) {
    it(`carries a dial whose connection was under way with a key that is refused then, with ${minConnections} kept up`, async () => {
      node.pause();
      const dialer = create({ privateKey: stranger.privateKey }, { minConnections });
      const dialled = dial(dialer);
      await node.until(({ connections }) => connections === 1);
      dialer.updateCredentials({ privateKey: next.privateKey });
      node.resume();
      await roundTrip(await dialled);
      expect(statusOf(dialer).counts).to.deep.equal({ connected: 1, failed: 1, lost: 0 });
      expect(statusOf(dialer)).to.include({ state: 'ready' });
    });
  }

  it('tries a refused key no more often than it is replaced', async () => {
    node.pause();
    const dialer = create({ privateKey: stranger.privateKey });
    await node.until(({ connections }) => connections === 1);
    dialer.updateCredentials({ privateKey: generateKeyPair('ed25519').privateKey });
    node.resume();
    await until('the second failure', () => statusOf(dialer).state === 'down');
    await turns(10);
    expect(node.totalConnections).to.equal(2);
  });

  it('counts for attempts that wait for their turn', async () => {
    const other = await lab.node({ name: 'other' });
    node.pause();
    const dialer = lab.dialer([node, other], {
      ssh: { ...node.ssh, privateKey: stranger.privateKey },
      reconnect: { ...reconnect, maxHandshakes: 1 },
    });
    await node.until(({ connections }) => connections === 1);
    dialer.updateCredentials({ privateKey: node.ssh.privateKey });
    node.resume();
    await dialer.ready({ every: true });
    expect(other.totalConnections).to.equal(1);
  });

  it('replaces the key, its passphrase and the agent together, and leaves the rest', async () => {
    const agent = '/nonexistent/agent.sock';
    const dialer = create({ agent }, oneEach);
    await roundTrip(await dial(dialer));
    dialer.updateCredentials({ privateKey: stranger.privateKey });
    expect((await refusalOf(dialer)).message)
      .to.include('publickey (')
      .and.not.include('agent');
    dialer.updateCredentials({ agent });
    expect((await refusalOf(dialer)).message)
      .to.include('agent (')
      .and.not.include('publickey (');
  });

  const wrong: [option: string, update: unknown][] = [
    ['ssh', undefined],
    ['ssh', 'secret'],
    ['ssh.username', { username: '' }],
    ['ssh.privateKey', { username: 'nobody', privateKey: 'secret' }],
    ['ssh.privateKey', { passphrase: 'secret' }],
    ['ssh.agent', { agent: '' }],
    ['ssh.hostKeys', { username: 'nobody', privateKey: stranger.privateKey, hostKeys: 'secret' }],
    ['ssh.privatekey', { username: 'nobody', privatekey: 'secret' }],
  ];
  for (const [index, [option, update]] of wrong.entries()) {
    it(`refuses a wrong ${option}, does not show it, and changes nothing (${index + 1})`, async () => {
      const dialer = create({}, oneEach);
      await roundTrip(await dial(dialer));
      expect(() => dialer.updateCredentials(update as CredentialsUpdate))
        .to.throw(InvalidOptionError)
        .with.property('option', option);
      try {
        dialer.updateCredentials(update as CredentialsUpdate);
      } catch (error) {
        if (typeof update === 'object') expect(String(error)).to.not.include('secret');
      }
      await roundTrip(await dial(dialer));
    });
  }

  it('does not disturb nodes that drain', async () => {
    const { opened, open } = gate();
    const dialer = create();
    await dialer.ready();
    node.faults.confirmLate(opened);
    const dialled = dial(dialer);
    await node.until(({ pendingOpens }) => pendingOpens === 1);
    dialer.update([]);
    dialer.updateCredentials({ privateKey: next.privateKey });
    open();
    await roundTrip(await dialled);
  });

  it('throws after close and after destroy', async () => {
    const closed = create();
    await closed.close();
    expect(() => closed.updateCredentials({})).to.throw(ClosedError);
    const destroyed = create();
    destroyed.destroy();
    expect(() => destroyed.updateCredentials({})).to.throw(ClosedError);
  });
});
