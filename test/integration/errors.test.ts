import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { inspect } from 'node:util';
import {
  AuthenticationError,
  ChannelRefusedError,
  DialTimeoutError,
  EndpointError,
  HostKeyError,
  InvalidOptionError,
  knownHosts,
  NodeUnavailableError,
  TransportError,
  TunnelDialer,
  TunnelError,
  type TunnelDialerOptions,
  type TunnelSocket,
} from '../../lib/index.js';
import { describeFor } from '../support/applicability.js';
import { startBlackHole } from '../support/black-hole.js';
import { rejection, roundTrip } from '../support/dialer.js';
import { refusedEndpoint, startEcho, startEndpoint, type Endpoint } from '../support/endpoints.js';
import { expectNoLeaks } from '../support/leaks.js';
import { waitUntil } from '../support/processes.js';
import { generateKeyPair, knownHostsText } from '../support/ssh-keys.js';
import type { Sshd, SshAccess, SshdOptions } from '../support/sshd.js';
import { dialerTo, NODE, nodeStatus, Stage, type HostAndPort } from './stage.js';

type DialerOptions = NonNullable<Parameters<typeof dialerTo>[1]>;

const ENDPOINT: HostAndPort = { host: '127.0.0.1', port: 9 };

/** `SHA256:…` of a public key, as ssh-keygen -l prints it. */
function fingerprint(publicKey: string): string {
  const blob = Buffer.from(publicKey.split(' ')[1] ?? '', 'base64');
  return `SHA256:${createHash('sha256').update(blob).digest('base64').replace(/=+$/, '')}`;
}

/**
 * Makes a dialer, dials once, closes the dialer, and gives the dial's error. Whatever the error, nothing may be left open, and no secret
 * may be in it.
 */
async function failedDial(
  access: SshAccess,
  {
    options = {},
    endpoint = ENDPOINT,
    timeoutMs,
  }: {
    options?: DialerOptions;
    endpoint?: HostAndPort;
    timeoutMs?: number;
  } = {},
): Promise<TunnelError> {
  let error: TunnelError | undefined;
  await expectNoLeaks(async () => {
    const dialer = dialerTo(access, options);
    error = await rejection<TunnelError>(dialer.dial(endpoint.host, endpoint.port, { timeoutMs }));
    await dialer.close();
  });
  expect(error).to.be.an.instanceOf(TunnelError);
  expectNoSecret(inspect(error, { depth: 10 }), access);
  return error!;
}

/** Never says anything. */
function mute(peer: Socket): void {
  peer.resume().once('end', () => peer.end());
}

/** The error as the class that it must be of. */
function as<T extends Error>(error: unknown, type: abstract new (...args: never[]) => T): T {
  expect(error).to.be.an.instanceOf(type);
  return error as T;
}

/** Looks for any line of a private key. */
function expectNoSecret(text: string, { privateKey }: SshAccess): void {
  for (const line of privateKey.split('\n').filter((line) => line.length > 10 && !line.startsWith('-----')))
    expect(text).to.not.include(line);
}

describe('what goes wrong with the login to a real sshd', () => {
  const shared = new Stage();
  const stage = new Stage();
  let sshd: Sshd;

  before(async () => {
    sshd = await shared.sshd();
  });
  after(() => shared.end());
  afterEach(() => stage.end());

  it('a wrong key is an AuthenticationError that names user, key and what sshd would take', async () => {
    const wrong = generateKeyPair();
    const error = await failedDial(sshd, { options: { ssh: { privateKey: wrong.privateKey } } });
    expect(error)
      .to.be.an.instanceOf(AuthenticationError)
      .and.include({ code: 'ERR_TUNNEL_AUTH', node: NODE });
    expect(as(error, AuthenticationError).methods).to.deep.equal([
      `publickey (ssh-ed25519 ${fingerprint(wrong.publicKey)})`,
    ]);
    expect(error.message)
      .to.include(sshd.username)
      .and.match(/accepts .*publickey.*authorized_keys/);
    expectNoSecret(inspect(error, { depth: 10 }), { ...sshd, privateKey: wrong.privateKey });
  });

  it('an unknown user is an AuthenticationError', async () => {
    const error = await failedDial(sshd, { options: { ssh: { username: 'nobody-of-that-name' } } });
    expect(error).to.be.an.instanceOf(AuthenticationError).and.include({ code: 'ERR_TUNNEL_AUTH' });
    expect(error.message).to.include('nobody-of-that-name');
  });

  it('an encrypted key without a passphrase is found before anything is connected', () => {
    const { privateKey } = generateKeyPair('ed25519', 'secret');
    expect(() => dialerTo(sshd, { ssh: { privateKey } }))
      .to.throw(InvalidOptionError, /passphrase/)
      .with.property('option', 'ssh.passphrase');
  });

  it('an encrypted key with a wrong passphrase is found before anything is connected', () => {
    const { privateKey } = generateKeyPair('ed25519', 'secret');
    expect(() => dialerTo(sshd, { ssh: { privateKey, passphrase: 'not it' } }))
      .to.throw(InvalidOptionError, /passphrase/)
      .with.property('option', 'ssh.passphrase');
  });

  it('an unknown host key is a HostKeyError with its fingerprint and the line to add', async () => {
    const known = knownHostsText('other.example', 22, sshd.hostKeys);
    const error = await failedDial(sshd, { options: { ssh: { hostKeys: knownHosts(known) } } });
    expect(error).to.be.an.instanceOf(HostKeyError);
    expect(error).to.include({ code: 'ERR_TUNNEL_HOST_KEY', reason: 'unknown', node: NODE });
    const { fingerprint: shown } = as(error, HostKeyError);
    const shownKey = sshd.hostKeys.find((key) => fingerprint(key) === shown);
    expect(shownKey).to.be.a('string');
    expect(error.message).to.include(knownHostsText(sshd.address, sshd.port, [shownKey!]).trim());
  });

  it('a host key of a type that was never recorded is a HostKeyError', async () => {
    const { publicKey } = generateKeyPair('rsa');
    const known = knownHostsText(sshd.address, sshd.port, [publicKey]);
    const error = await failedDial(sshd, { options: { ssh: { hostKeys: knownHosts(known) } } });
    expect(error).to.include({ code: 'ERR_TUNNEL_HOST_KEY', reason: 'mismatch' });
  });

  it('a revoked host key is a HostKeyError, although the key is listed as good, too', async () => {
    const lines = sshd.knownHosts.trimEnd().split('\n');
    const known = [...lines, ...lines.map((line) => `@revoked ${line}`), ''].join('\n');
    const error = await failedDial(sshd, { options: { ssh: { hostKeys: knownHosts(known) } } });
    expect(error).to.be.an.instanceOf(HostKeyError);
    expect(error).to.include({ code: 'ERR_TUNNEL_HOST_KEY', reason: 'revoked' });
  });

  describeFor('restart', 'after the host key has changed', () => {
    it('a dial is a HostKeyError with the new fingerprint, and is not tried again soon', async () => {
      const changed = await stage.sshd();
      const { hostKeys, knownHosts: known } = changed;
      await changed.restart({ newHostKeys: true });
      const access = { ...loginAccess(changed), hostKeys, knownHosts: known };
      const error = await failedDial(access);
      expect(error).to.be.an.instanceOf(HostKeyError);
      expect(error).to.include({
        code: 'ERR_TUNNEL_HOST_KEY',
        reason: 'mismatch',
        fingerprint: fingerprint(changed.hostKeys[0]!),
      });

      const dialer = stage.dialer(access);
      await rejection(dialer.ready());
      expect(nodeStatus(dialer)).to.have.nested.property('cause.code', 'ERR_TUNNEL_HOST_KEY');
      expect(nodeStatus(dialer).retryAt!.getTime()).to.be.greaterThan(Date.now() + 5_000);
    });
  });

  function loginAccess({
    address,
    port,
    username,
    privateKey,
  }: SshAccess): Omit<SshAccess, 'hostKeys' | 'knownHosts'> {
    return { address, port, username, privateKey };
  }
});

describe('what goes wrong before there is a real sshd to log in to', () => {
  const stage = new Stage();
  const key = generateKeyPair();
  afterEach(() => stage.end());

  const accessTo = ({ host, port }: HostAndPort): SshAccess => ({
    address: host,
    port,
    username: 'tunnel',
    privateKey: key.privateKey,
    hostKeys: [key.publicKey],
    knownHosts: knownHostsText(host, port, [key.publicKey]),
  });

  it('no sshd is a NodeUnavailableError that leads back to the system error', async () => {
    const refused = await refusedEndpoint();
    const error = await failedDial(accessTo(refused));
    expect(error).to.be.an.instanceOf(NodeUnavailableError);
    expect(error).to.include({ code: 'ERR_TUNNEL_NODE_UNAVAILABLE', node: NODE, ...ENDPOINT });
    expect(error.message).to.include(`${refused.host}:${refused.port}`).and.include('ECONNREFUSED');
    expect(error.cause).to.be.an.instanceOf(TransportError).with.property('code', 'ERR_TUNNEL_LOST');
    expect((error.cause as Error).cause).to.have.property('code', 'ECONNREFUSED');
    expect(as(error, NodeUnavailableError).retryAt.getTime()).to.be.at.least(Date.now() - 1000);
  });

  it('a node whose name nobody knows is a NodeUnavailableError', async () => {
    const error = await failedDial(accessTo({ host: 'nosuch.invalid', port: 22 }));
    expect(error).to.be.an.instanceOf(NodeUnavailableError);
    expect(error.message).to.include('nosuch.invalid');
  });

  it('an HTTP server is a NodeUnavailableError that says that it does not speak SSH', async () => {
    const server = createServer((_, response) => response.end('hello')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    stage.onEnd(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const error = await failedDial(accessTo({ host: '127.0.0.1', port }));
    expect(error).to.be.an.instanceOf(NodeUnavailableError);
    expect(error.message).to.match(/SSH|identified itself/);
  });

  const STRANGERS: Record<string, string> = {
    'a mail server': '220 mail.example ESMTP\r\n',
    'a server that sends noise': Buffer.alloc(4096, 0xfe).toString('latin1'),
    'a server of SSH 1': 'SSH-1.5-old\r\n',
    'a server that closes at once': '',
    'a server that closes after its identification': 'SSH-2.0-gone\r\n',
    'a server that sends noise after its identification': `SSH-2.0-noise\r\n${'\u00fe'.repeat(4096)}`,
  };
  for (const [name, greeting] of Object.entries(STRANGERS)) {
    it(`${name} is a NodeUnavailableError`, async () => {
      const stranger = await stage.use(
        startEndpoint((peer) => void peer.resume().end(Buffer.from(greeting, 'latin1'))),
      );
      const error = await failedDial(accessTo(stranger));
      expect(error).to.be.an.instanceOf(NodeUnavailableError);
      expect(error.cause).to.be.an.instanceOf(TransportError);
    });
  }

  it('a banner that never comes is a DialTimeoutError of the connect phase', async () => {
    const silent = await stage.use(startEndpoint(mute));
    const error = await failedDial(accessTo(silent), { options: { timeouts: { connectMs: 100 } } });
    expect(error).to.be.an.instanceOf(DialTimeoutError);
    expect(error).to.include({ code: 'ETIMEDOUT', phase: 'connect', node: NODE });
    expect(error.message).to.include('100 ms');
  });

  it('a banner without an end is a DialTimeoutError of the connect phase', async () => {
    const endless = await stage.use(
      startEndpoint((peer) => {
        mute(peer);
        peer.write('well, ');
      }),
    );
    const error = await failedDial(accessTo(endless), { options: { timeouts: { connectMs: 100 } } });
    expect(error).to.be.an.instanceOf(DialTimeoutError);
    expect(error).to.include({ code: 'ETIMEDOUT', phase: 'connect' });
  });

  it('a node that drops packets is a DialTimeoutError of the connect phase', async () => {
    const hole = await stage.use(startBlackHole());
    const error = await failedDial(accessTo(hole), { options: { timeouts: { connectMs: 100 } } });
    expect(error).to.be.an.instanceOf(DialTimeoutError);
    expect(error).to.include({ code: 'ETIMEDOUT', phase: 'connect' });
  });

  it("a dial's own deadline is a DialTimeoutError, while the connection is still being made", async () => {
    const silent = await stage.use(startEndpoint(mute));
    const error = await failedDial(accessTo(silent), { timeoutMs: 100 });
    expect(error).to.be.an.instanceOf(DialTimeoutError);
    expect(error).to.include({ code: 'ETIMEDOUT', phase: 'connect', ...ENDPOINT });
  });
});

describe('what goes wrong with an endpoint behind a real sshd', () => {
  const shared = new Stage();
  const stage = new Stage();
  let sshd: Sshd;
  let dialer: TunnelDialer;
  let sibling: TunnelSocket;

  before(async () => {
    sshd = await shared.sshd();
    dialer = shared.dialer(sshd);
    sibling = await shared.dialEcho(dialer, await shared.use(startEcho(sshd)));
  });
  after(() => shared.end());
  afterEach(async () => {
    await stage.end();
    await roundTrip(sibling); // its connection is none the worse for it
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
    expect(nodeStatus(dialer).channels).to.deep.equal({ open: 1, waiting: 0 });
  });

  it('a refused connection is an EndpointError with the errno', async () => {
    const refused = await refusedEndpoint(sshd);
    const error = await failedDial(sshd, { endpoint: refused });
    expect(error).to.be.an.instanceOf(EndpointError);
    expect(error).to.include({ code: 'ECONNREFUSED', node: NODE, ...refused });
    expect(error.message).to.include(`${refused.host}:${refused.port}`);
  });

  it('a name that the node does not know is an EndpointError', async () => {
    const error = await rejection(dialer.dial('nosuch.invalid', 80));
    expect(error).to.be.an.instanceOf(EndpointError);
    // A node without any name server says the second.
    expect(error).to.have.property('code').that.is.oneOf(['ENOTFOUND', 'EAI_AGAIN']);
    expect(error.message).to.include('nosuch.invalid');
  });

  describeFor('same-host', 'that drops packets', () => {
    it('is a DialTimeoutError of the open phase', async () => {
      const hole = await stage.use(startBlackHole());
      const error = await failedDial(sshd, { endpoint: hole, timeoutMs: 300 });
      expect(error).to.be.an.instanceOf(DialTimeoutError);
      expect(error).to.include({ code: 'ETIMEDOUT', phase: 'open', node: NODE, port: hole.port });
    });

    it('does not disturb the other streams, nor their connection', async () => {
      const hole = await stage.use(startBlackHole());
      // A connection that leaves 16 in a row unanswered is replaced.
      const dials = Array.from({ length: 12 }, () =>
        rejection(dialer.dial(hole.host, hole.port, { timeoutMs: 300 })),
      );
      await roundTrip(sibling);
      for (const error of await Promise.all(dials)) expect(error).to.be.an.instanceOf(DialTimeoutError);
    });
  });

  const BAD_HOSTS = ['', 'a b', 'http://x', 'x:80', '10.0.0.256', '[::1', undefined, null, 7, {}];
  const BAD_PORTS = [0, 65536, NaN, 1.5, -1, Infinity, '80', undefined, null];
  for (const host of BAD_HOSTS) {
    it(`the host ${inspect(host)} is an InvalidOptionError`, async () => {
      const error = await rejection(dialer.dial(host as string, 80));
      expect(error).to.be.an.instanceOf(InvalidOptionError);
      expect(error).to.include({ code: 'ERR_TUNNEL_INVALID_OPTION', option: 'host' });
    });
  }
  for (const port of BAD_PORTS) {
    it(`the port ${inspect(port)} is an InvalidOptionError`, async () => {
      const error = await rejection(dialer.dial('127.0.0.1', port as number));
      expect(error).to.be.an.instanceOf(InvalidOptionError);
      expect(error).to.include({ code: 'ERR_TUNNEL_INVALID_OPTION', option: 'port' });
      expect(error.message).to.include('65535');
    });
  }
});

describeFor('configure', 'an sshd that does not permit a dial', () => {
  const stage = new Stage();
  let echo: Endpoint;
  let other: Endpoint;

  beforeEach(async () => {
    const place = { listenHost: '127.0.0.1', endpointHost: '127.0.0.1' };
    echo = await stage.use(startEcho(place));
    other = await stage.use(startEcho(place));
  });
  afterEach(() => stage.end());

  const FORBIDDEN: Record<string, SshdOptions> = {
    'AllowTcpForwarding no': { config: ['AllowTcpForwarding no'] },
    'AllowTcpForwarding remote': { config: ['AllowTcpForwarding remote'] },
    'DisableForwarding yes': { config: ['DisableForwarding yes'] },
    'PermitOpen none': { config: ['PermitOpen none'] },
    'restrict in authorized_keys': { keyOptions: 'restrict' },
    'no-port-forwarding in authorized_keys': { keyOptions: 'no-port-forwarding' },
  };
  for (const [name, options] of Object.entries(FORBIDDEN)) {
    it(`(${name}) answers with a ChannelRefusedError that says where to look`, async () => {
      const error = await failedDial(await stage.sshd(options), { endpoint: echo });
      expect(error).to.be.an.instanceOf(ChannelRefusedError);
      expect(error).to.include({
        code: 'ERR_TUNNEL_PROHIBITED',
        node: NODE,
        host: echo.host,
        port: echo.port,
      });
      expect(error.message).to.match(/AllowTcpForwarding.*PermitOpen.*authorized_keys/);
    });
  }

  const NARROW: Record<string, (port: number) => SshdOptions> = {
    'PermitOpen in sshd_config': (port) => ({ config: [`PermitOpen 127.0.0.1:${port}`] }),
    'permitopen in authorized_keys': (port) => ({
      keyOptions: `restrict,port-forwarding,permitopen="127.0.0.1:${port}"`,
    }),
  };
  for (const [name, optionsFor] of Object.entries(NARROW)) {
    it(`(${name}) refuses one endpoint and opens another on the same connection`, async () => {
      const dialer = stage.dialer(await stage.sshd(optionsFor(echo.port)));
      const permitted = await stage.dialEcho(dialer, echo);
      const error = await rejection(dialer.dial(other.host, other.port));
      expect(error).to.be.an.instanceOf(ChannelRefusedError);
      expect(error).to.include({ code: 'ERR_TUNNEL_PROHIBITED' });
      await roundTrip(permitted);
      await stage.dialEcho(dialer, echo);
      expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });
    });
  }

  it('(out of file descriptors) answers with a ChannelRefusedError, and keeps the streams there are', async () => {
    const sshd = await stage.sshd({ maxOpenFiles: 40 });
    const dialer = stage.dialer(sshd, { pool: { maxConnections: 1 } });
    const open: TunnelSocket[] = [];
    let refusal: unknown;
    while (refusal === undefined && open.length < 40) {
      await stage.dialEcho(dialer, echo).then(
        (socket) => open.push(socket),
        (error: unknown) => (refusal = error),
      );
    }
    expect(refusal).to.be.an.instanceOf(ChannelRefusedError);
    expect(refusal).to.include({ code: 'ERR_TUNNEL_RESOURCE', node: NODE });
    expect((refusal as Error).message).to.include('open-file limit');
    for (const socket of open) await roundTrip(socket);
    expect(nodeStatus(dialer).counts).to.deep.equal({ connected: 1, failed: 0, lost: 0 });

    for (const socket of open.slice(0, 5)) socket.end();
    // sshd lets go of them in a turn of its own, and can then open others.
    await waitUntil('room for a stream', async () => {
      try {
        await stage.dialEcho(dialer, echo);
        return true;
      } catch (error) {
        expect(error).to.include({ code: 'ERR_TUNNEL_RESOURCE' });
        return false;
      }
    });
  });
});

describe('bad options', () => {
  const key = generateKeyPair();
  const node = { name: NODE, address: '127.0.0.1', port: 9, hostKey: key.publicKey };
  const good: TunnelDialerOptions = {
    nodes: [node],
    ssh: { username: 'tunnel', privateKey: key.privateKey },
    pool: { minConnections: 0 },
  };
  const BAD: Record<string, object> = {
    nodes: { nodes: 'node-1' },
    'nodes[0].address': { nodes: [{ ...node, address: '' }] },
    'nodes[0].port': { nodes: [{ ...node, port: 70_000 }] },
    'nodes[0].hostKey': { nodes: [{ ...node, hostKey: 'SHA256:short' }] },
    'ssh.username': { ssh: { ...good.ssh, username: '' } },
    'ssh.privateKey': { ssh: { ...good.ssh, privateKey: '~/.ssh/id_ed25519' } },
    'ssh.hostKeys': { ssh: { ...good.ssh, hostKeys: 'known_hosts' } },
    'pool.maxConnections': { pool: { maxConnections: 0 } },
    'pool.maxChannels': { pool: { maxChannels: 3 } },
    'health.keepaliveIntervalMs': { health: { keepaliveIntervalMs: 0 } },
    'reconnect.minMs': { reconnect: { minMs: 100, maxMs: 10 } },
    'timeouts.dialMs': { timeouts: { dialMs: '5s' } },
    onMiss: { onMiss: 'drop' },
  };
  for (const [option, change] of Object.entries(BAD)) {
    it(`${option} is an InvalidOptionError that names it, and leaves nothing behind`, async () => {
      await expectNoLeaks(() => {
        expect(() => new TunnelDialer({ ...good, ...change }))
          .to.throw(InvalidOptionError)
          .with.property('option', option);
        return Promise.resolve();
      });
    });
  }
});
