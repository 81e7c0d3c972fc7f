import { expect } from 'chai';
import { inspect } from 'node:util';
import { InvalidOptionError } from '../lib/errors.js';
import type { InstallKey, NodeStatus, SshOptions } from '../lib/index.js';
import { fingerprint, generateKeyPair, wireFormat, type KeyPair } from '../lib/testing/keys.js';
import type { SshNode } from '../lib/testing/index.js';
import type { TunnelDialer } from '../lib/tunnel-dialer.js';
import { gate, Lab, rejection, roundTrip, turns, until, type Endpoint } from './support/dialer.js';
import { expectNoLeaks } from './support/leaks.js';

/** Whoever waits in one of these tests waits for good. */
const reconnect = { minMs: 60_000, maxMs: 60_000 };

describe('TunnelDialer: ssh.installKey', () => {
  const next = generateKeyPair('ed25519');
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

  const create = (installKey: InstallKey, ssh: Partial<SshOptions> = {}): TunnelDialer =>
    lab.dialer([node], { ssh: { ...node.ssh, ...ssh, installKey }, reconnect });
  const statusOf = (dialer: TunnelDialer): NodeStatus => dialer.status().nodes[0]!;
  const fingerprintOf = ({ publicKey }: KeyPair): string => fingerprint(wireFormat(publicKey));
  const nothing: InstallKey = () => Promise.resolve();

  it('is called for a node with its public key, and no secret', async () => {
    const calls: unknown[][] = [];
    const dialer = create((...args) => {
      calls.push(args);
      return Promise.resolve();
    });
    expect(calls).to.deep.equal([]);
    await until('the call', () => statusOf(dialer).keyInstall?.state === 'installed');
    const { name, address, port, username } = node.spec;
    const [[given, publicKey, options]] = calls as [[unknown, string, { signal: AbortSignal }]];
    expect(given).to.deep.equal({ name, address, port, username });
    expect(publicKey).to.equal(node.clientKey.publicKey.split(' ', 2).join(' '));
    expect(Object.keys(options)).to.deep.equal(['signal']);
    const secret = node.ssh.privateKey.split('\n')[3];
    expect(inspect(calls, { depth: Infinity, showHidden: true })).to.not.include(secret);
    expect(statusOf(dialer).keyInstall?.fingerprint).to.equal(fingerprintOf(node.clientKey));
  });

  it('has a node tried again at once that refused the key before it was there', async () => {
    const { opened, open } = gate();
    node.faults.rejectKey();
    const dialer = create(() => opened);
    await until('a refusal', () => statusOf(dialer).state === 'down');
    node.faults.reset();
    await turns(5);
    expect(statusOf(dialer)).to.include({ state: 'down' });
    open();
    await dialer.ready();
    await roundTrip(await dialer.dial('127.0.0.1', endpoint.port));
    expect(statusOf(dialer).counts).to.deep.equal({ connected: 1, failed: 1, lost: 0 });
  });

  it('has a node tried again, once, whose refusal was on its way when the key was installed', async () => {
    const { opened, open } = gate();
    node.faults.rejectKey();
    node.pause();
    const dialer = create(() => opened);
    await node.until(({ connections }) => connections === 1);
    open();
    await until('the key', () => statusOf(dialer).keyInstall?.state === 'installed');
    node.resume();
    await until('the second refusal', () => statusOf(dialer).state === 'down');
    await turns(10);
    expect(node.totalConnections).to.equal(2);
  });

  it('has ready() wait for the key, and no longer than that', async () => {
    const { opened, open } = gate();
    node.faults.rejectKey();
    const dialer = create(() => opened);
    await until('a refusal', () => statusOf(dialer).state === 'down');
    let isOver = false;
    const refused = rejection(dialer.ready()).finally(() => (isOver = true));
    await turns(5);
    expect(isOver).to.equal(false);
    open();
    expect(await refused).to.include({ code: 'ERR_TUNNEL_AUTH' });
    expect(node.totalConnections).to.equal(2);
  });

  it('does not have a node tried again that is gone, or has another host key', async () => {
    await node.stop();
    const { opened, open } = gate();
    const dialer = create(() => opened);
    await until('a failure', () => statusOf(dialer).state === 'down');
    open();
    await until('the key', () => statusOf(dialer).keyInstall?.state === 'installed');
    await turns(5);
    expect(statusOf(dialer).counts.failed).to.equal(1);

    const other = await lab.node({ name: 'other' });
    const second = gate();
    const { spec } = other;
    const wrong = lab.dialer([other], {
      nodes: [{ ...spec, hostKey: node.hostKey.fingerprint }],
      ssh: { ...node.ssh, installKey: () => second.opened },
      reconnect,
    });
    await until('a failure', () => statusOf(wrong).cause?.code === 'ERR_TUNNEL_HOST_KEY');
    second.open();
    await until('the key', () => statusOf(wrong).keyInstall?.state === 'installed');
    await turns(5);
    expect(other.totalConnections).to.equal(1);
  });

  it('is called with the next key at once, and streams live on', async () => {
    const installed: string[] = [];
    const dialer = create((_node, publicKey) => {
      installed.push(publicKey);
      return Promise.resolve();
    });
    const stream = await dialer.dial('127.0.0.1', endpoint.port);
    dialer.updateCredentials({ privateKey: next.privateKey });
    expect(statusOf(dialer).keyInstall).to.deep.include({
      state: 'pending',
      fingerprint: fingerprintOf(next),
    });
    await until('the call', () => statusOf(dialer).keyInstall?.state === 'installed');
    expect(installed[1]).to.equal(next.publicKey.split(' ', 2).join(' '));
    await roundTrip(stream);
    dialer.updateCredentials({ hostKeys: node.ssh.hostKeys });
    await turns(3);
    expect(installed).to.have.length(2);
  });

  it('fails without harm: the status says why, and dials go on', async () => {
    const dialer = create(() => Promise.reject(new Error('the API is away')));
    await until('the failure', () => statusOf(dialer).keyInstall?.state === 'failing');
    expect(statusOf(dialer).keyInstall?.failure?.message).to.equal('the API is away');
    await roundTrip(await dialer.dial('127.0.0.1', endpoint.port));
    expect(statusOf(dialer).state).to.equal('ready');
  });

  it('may close the dialer, or change its nodes', async () => {
    const dialer: TunnelDialer = create(() => dialer.close());
    await until('its end', () => dialer.status().state === 'closed');
    const changing: TunnelDialer = create(() => {
      changing.update([]);
      return Promise.resolve();
    });
    await until('its end', () => changing.status().nodes.length === 0);
  });

  for (const end of ['close', 'destroy'] as const) {
    it(`is told of ${end}() by its signal; nothing is left of a call that does not care`, async () => {
      // So that what is made once is not among what is left.
      await create(nothing).ready();
      await expectNoLeaks(async () => {
        let signal: AbortSignal | undefined;
        const dialer = create((...[, , options]) => {
          ({ signal } = options);
          return new Promise(() => undefined);
        });
        await dialer.ready();
        expect(signal?.aborted).to.equal(false);
        await dialer[end]();
        expect(signal?.aborted).to.equal(true);
        expect(dialer.status().nodes[0]?.keyInstall?.state).to.equal('pending');
        await node.until(({ connections }) => connections === 1);
      });
    });
  }

  it('needs a private key, from the beginning and later', async () => {
    const agent = '/nonexistent/agent.sock';
    const withoutKey = { privateKey: undefined, agent };
    expect(() => create(nothing, withoutKey))
      .to.throw(InvalidOptionError, /^ssh\.installKey needs ssh\.privateKey/)
      .with.property('option', 'ssh.installKey');
    const dialer = lab.dialer([node], {
      nodes: [{ ...node.spec, username: undefined }],
      ssh: { ...node.ssh, installKey: nothing },
      pool: { minConnections: 0 },
    });
    expect(() => dialer.updateCredentials({ username: 'nobody', agent })).to.throw(InvalidOptionError);
    await roundTrip(await dialer.dial('127.0.0.1', endpoint.port));
    await until('the call', () => statusOf(dialer).keyInstall?.state === 'installed');
    expect(statusOf(dialer).keyInstall?.fingerprint).to.equal(fingerprintOf(node.clientKey));
    dialer.updateCredentials({ privateKey: next.privateKey, agent });
    expect(statusOf(dialer).keyInstall?.fingerprint).to.equal(fingerprintOf(next));
  });

  it('shows nothing in the status where there is none', () => {
    expect(statusOf(lab.dialer([node]))).to.not.have.property('keyInstall');
  });
});
