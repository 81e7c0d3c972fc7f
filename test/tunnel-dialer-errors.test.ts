import { expect } from 'chai';
import { once } from 'node:events';
import ssh2 from 'ssh2';
import {
  AllNodesFailedError,
  AuthenticationError,
  ChannelRefusedError,
  ClosedError,
  DialTimeoutError,
  EndpointError,
  HostKeyError,
  InvalidOptionError,
  NodeUnavailableError,
  NoRouteError,
  PoolExhaustedError,
  TransportError,
  TunnelError,
} from '../lib/errors.js';
import { insecureAcceptAnyHostKey, knownHosts, pinnedHostKey, TunnelDialer } from '../lib/index.js';
import type { SshNode } from '../lib/testing/index.js';
import { generateKeyPair } from '../lib/testing/keys.js';
import { Lab, rejection, roundTrip, uncaughtDuring, until, type Endpoint } from './support/dialer.js';
import { inOnePiece, protocolOf, startRawSshServer } from './support/raw-ssh-server.js';

const never = { minMs: 60_000, maxMs: 60_000 };

describe('TunnelDialer: errors', () => {
  let lab: Lab;
  let node: SshNode;
  let endpoint: Endpoint;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node();
    endpoint = await lab.endpoint();
  });

  afterEach(async () => {
    await lab.end();
  });

  /** Each class of the table, by a dial that meets it. */
  async function meets(dialer: TunnelDialer, host = '127.0.0.1', options = {}): Promise<TunnelError> {
    return rejection<TunnelError>(dialer.dial(host, endpoint.port, options));
  }

  const refusals: [
    reason: 1 | 2 | 3 | 4,
    description: string,
    type: new (...args: never[]) => TunnelError,
    code: string,
  ][] = [
    [1, 'open failed', ChannelRefusedError, 'ERR_TUNNEL_PROHIBITED'],
    [2, 'open failed', EndpointError, 'ENETUNREACH'],
    [3, 'unknown', ChannelRefusedError, 'ERR_TUNNEL_PROHIBITED'],
    [4, 'open failed', ChannelRefusedError, 'ERR_TUNNEL_RESOURCE'],
    [2, 'Connection refused', EndpointError, 'ECONNREFUSED'],
    [2, 'Connection timed out', EndpointError, 'ETIMEDOUT'],
    [2, 'No route to host', EndpointError, 'EHOSTUNREACH'],
    [2, 'Network is unreachable', EndpointError, 'ENETUNREACH'],
    [2, 'Name or service not known', EndpointError, 'ENOTFOUND'],
    [2, 'Connection reset by peer', EndpointError, 'ECONNRESET'],
  ];
  for (const [reason, description, type, code] of refusals) {
    it(`${code} for a channel refused with reason ${reason}, ${description}`, async () => {
      const dialer = lab.dialer([node]);
      node.faults.refuse({ reason, description });
      const error = await meets(dialer);
      expect(error).to.be.an.instanceOf(type).and.be.an.instanceOf(TunnelError);
      expect(error).to.include({ code, node: 'node-1', host: '127.0.0.1', port: endpoint.port });
      expect(error.name).to.equal(type.name);
      expect(error.message).to.include('node-1');
      if (error instanceof EndpointError) expect(error.message).to.include(`127.0.0.1:${endpoint.port}`);
      expect(error.cause).to.be.an.instanceOf(Error);
      node.faults.reset();
      await roundTrip(await dialer.dial('127.0.0.1', endpoint.port));
      expect(node.totalConnections).to.equal(1);
    });
  }

  it('EndpointError for an endpoint that refuses, and for a name that the node does not know', async () => {
    const dialer = lab.dialer([node]);
    const { port } = endpoint;
    await endpoint.close();
    expect(await rejection(dialer.dial('127.0.0.1', port))).to.include({ code: 'ECONNREFUSED' });
    const unknown = await rejection<EndpointError>(dialer.dial('endpoint.invalid', port));
    expect(unknown).to.be.an.instanceOf(EndpointError);
    expect(unknown.code).to.match(/^(ENOTFOUND|EAI_AGAIN)$/);
  });

  it('EndpointError for a channel that the node closes without EOF', async () => {
    const dialer = lab.dialer([node]);
    const stream = await dialer.dial('127.0.0.1', endpoint.port);
    await node.until(({ channels }) => channels === 1);
    const errored = once(stream, 'error') as Promise<[TunnelError]>;
    node.hostile.closeWithoutEof();
    expect((await errored)[0])
      .to.be.an.instanceOf(EndpointError)
      .and.include({ code: 'ECONNRESET', node: 'node-1' });
  });

  it('NoRouteError for a host that no node owns', async () => {
    const error = await meets(lab.dialer([node], { onMiss: 'reject' }), 'unowned.example');
    expect(error)
      .to.be.an.instanceOf(NoRouteError)
      .and.include({ code: 'ERR_TUNNEL_NO_ROUTE', host: 'unowned.example' });
  });

  it('NodeUnavailableError for a node without sshd, with what net.connect said as the cause of its cause', async () => {
    await node.stop();
    const error = await meets(lab.dialer([node], { reconnect: never }));
    expect(error)
      .to.be.an.instanceOf(NodeUnavailableError)
      .and.include({ code: 'ERR_TUNNEL_NODE_UNAVAILABLE' });
    expect(error.cause).to.be.an.instanceOf(TransportError).and.include({ code: 'ERR_TUNNEL_LOST' });
    expect((error.cause as Error).cause).to.include({ code: 'ECONNREFUSED' });
  });

  it('NodeUnavailableError for a port that speaks no SSH', async () => {
    node.faults.banner('220 mail.example ESMTP\r\n');
    const dialer = lab.dialer([node], { reconnect: never, timeouts: { connectMs: 200 } });
    expect(await meets(dialer)).to.satisfy(
      (error: unknown) => error instanceof NodeUnavailableError || error instanceof DialTimeoutError,
    );
  });

  it('DialTimeoutError for a banner that never comes', async () => {
    node.faults.silent();
    const dialer = lab.dialer([node], { reconnect: never, timeouts: { connectMs: 50 } });
    const error = await meets(dialer);
    expect(error).to.be.an.instanceOf(DialTimeoutError).and.include({ code: 'ETIMEDOUT', phase: 'connect' });
    expect(error.message).to.include('did not finish the SSH handshake');
  });

  it('DialTimeoutError for an endpoint that drops packets', async () => {
    const dialer = lab.dialer([node]);
    await dialer.ready();
    node.faults.neverAnswer();
    const error = await meets(dialer, '127.0.0.1', { timeoutMs: 50 });
    expect(error).to.be.an.instanceOf(DialTimeoutError).and.include({ code: 'ETIMEDOUT', phase: 'open' });
    expect(error.message).to.include('dropping packets');
  });

  it('AuthenticationError for a wrong key, and the user it was for', async () => {
    const { hostKeys } = node.ssh;
    const { privateKey } = generateKeyPair('ed25519');
    const dialer = lab.dialer([node], {
      ssh: { username: 'tunnel', privateKey, hostKeys },
      reconnect: never,
    });
    const error = await meets(dialer);
    expect(error)
      .to.be.an.instanceOf(AuthenticationError)
      .and.include({ code: 'ERR_TUNNEL_AUTH', node: 'node-1' });
    expect(error)
      .to.have.property('methods')
      .that.satisfies(([method]: string[]) => method?.startsWith('publickey (ssh-ed25519 SHA256:'));
  });

  describe('HostKeyError', () => {
    const cases: [
      what: string,
      reason: string,
      hostKeys: () => NonNullable<ConstructorParameters<typeof TunnelDialer>[0]['ssh']['hostKeys']>,
    ][] = [
      [
        'an unknown key',
        'unknown',
        () => knownHosts(`other.example ${generateKeyPair('ed25519').publicKey}\n`),
      ],
      [
        'a changed key',
        'mismatch',
        () => knownHosts(`[127.0.0.1]:${node.spec.port} ${generateKeyPair('ed25519').publicKey}\n`),
      ],
      [
        'a revoked key',
        'revoked',
        () => knownHosts(`${node.knownHostsLine}\n@revoked * ${node.knownHostsLine.replace(/^\S+ /, '')}\n`),
      ],
      [
        'another key than the pinned one',
        'mismatch',
        () => pinnedHostKey(generateKeyPair('ed25519').publicKey),
      ],
    ];
    for (const [what, reason, hostKeys] of cases) {
      it(`for ${what}`, async () => {
        const spec = { ...node.spec, hostKey: undefined };
        const { username, privateKey } = node.ssh;
        const ssh = { username, privateKey, hostKeys: hostKeys() };
        const error = await meets(lab.dialer([], { nodes: [spec], ssh, reconnect: never }));
        expect(error)
          .to.be.an.instanceOf(HostKeyError)
          .and.include({ code: 'ERR_TUNNEL_HOST_KEY', reason, node: 'node-1' });
        expect(error).to.have.property('fingerprint', node.hostKey.fingerprint);
        expect(error.message).to.include(node.hostKey.fingerprint);
      });
    }

    it('not for a key that is on record', async () => {
      const spec = { ...node.spec, hostKey: undefined };
      const { username, privateKey } = node.ssh;
      const ssh = { username, privateKey, hostKeys: knownHosts(`${node.knownHostsLine}\n`) };
      await roundTrip(await lab.dialer([], { nodes: [spec], ssh }).dial('127.0.0.1', endpoint.port));
    });
  });

  it('TransportError ECONNRESET for a stream whose connection is lost', async () => {
    const dialer = lab.dialer([node]);
    const stream = await dialer.dial('127.0.0.1', endpoint.port);
    const errored = once(stream, 'error') as Promise<[TunnelError]>;
    node.cut('rst');
    const [error] = await errored;
    expect(error).to.be.an.instanceOf(TransportError);
    expect(error).to.include({ code: 'ECONNRESET', node: 'node-1', host: '127.0.0.1', port: endpoint.port });
    expect(error.cause).to.be.an.instanceOf(TransportError).and.include({ code: 'ERR_TUNNEL_LOST' });
  });

  it('TransportError ERR_TUNNEL_LOST for a dial whose connection is lost twice', async () => {
    const dialer = lab.dialer([node]);
    await dialer.ready();
    node.faults.neverAnswer();
    const met = meets(dialer);
    for (let times = 0; times < 2; times += 1) {
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      node.cut('rst');
    }
    expect(await met)
      .to.be.an.instanceOf(TransportError)
      .and.include({ code: 'ERR_TUNNEL_LOST', node: 'node-1' });
  });

  it('PoolExhaustedError for a node whose queue is full', async () => {
    const dialer = lab.dialer([node], {
      pool: { maxConnections: 1, maxChannelsPerConnection: 1, maxQueue: 0 },
    });
    await dialer.dial('127.0.0.1', endpoint.port);
    const error = await meets(dialer);
    expect(error)
      .to.be.an.instanceOf(PoolExhaustedError)
      .and.include({ code: 'ERR_TUNNEL_POOL_EXHAUSTED', node: 'node-1' });
  });

  it('ClosedError after close and after destroy', async () => {
    const closed = lab.dialer([node]);
    await closed.close();
    const destroyed = lab.dialer([node]);
    destroyed.destroy();
    for (const dialer of [closed, destroyed]) {
      expect(await meets(dialer))
        .to.be.an.instanceOf(ClosedError)
        .and.include({ code: 'ERR_TUNNEL_CLOSED' });
    }
  });

  it('ClosedError after close also when there is no node', async () => {
    const dialer = lab.dialer([node]);
    dialer.update([]);
    await dialer.close();
    expect(await meets(dialer))
      .to.be.an.instanceOf(ClosedError)
      .and.include({ host: '127.0.0.1' });
  });

  it('AllNodesFailedError when every candidate failed', async () => {
    const other = await lab.node({ name: 'node-2' });
    const dialer = lab.dialer([node, other]);
    for (const one of [node, other]) one.faults.refuse({ reason: 4 });
    const error = await meets(dialer, 'any.example');
    expect(error)
      .to.be.an.instanceOf(AllNodesFailedError)
      .and.include({ code: 'ERR_TUNNEL_ALL_NODES_FAILED' });
  });

  describe('of the constructor', () => {
    const base = () => ({ nodes: [node.spec], ssh: node.ssh });
    const encrypted = ssh2.utils.generateKeyPairSync('ecdsa', {
      bits: 256,
      passphrase: 'correct horse',
      cipher: 'aes256-ctr',
      rounds: 1,
    }).private;
    const cases: [what: string, options: () => unknown, option: string][] = [
      ['no options', () => undefined, 'options'],
      ['no nodes', () => ({ ...base(), nodes: undefined }), 'nodes'],
      ['a wrong node', () => ({ ...base(), nodes: [{ name: 'a', address: '' }] }), 'nodes[0].address'],
      ['no key', () => ({ ...base(), ssh: { ...node.ssh, privateKey: undefined } }), 'ssh.privateKey'],
      [
        'a key that is none',
        () => ({ ...base(), ssh: { ...node.ssh, privateKey: 'nonsense' } }),
        'ssh.privateKey',
      ],
      [
        'an encrypted key',
        () => ({ ...base(), ssh: { ...node.ssh, privateKey: encrypted } }),
        'ssh.passphrase',
      ],
      [
        'a wrong passphrase',
        () => ({ ...base(), ssh: { ...node.ssh, privateKey: encrypted, passphrase: 'wrong horse' } }),
        'ssh.passphrase',
      ],
      [
        'no host keys',
        () => ({
          nodes: [{ name: 'a', address: 'a' }],
          ssh: { username: 'x', privateKey: node.ssh.privateKey },
        }),
        'ssh.hostKeys',
      ],
    ];
    for (const [what, options, option] of cases) {
      it(`InvalidOptionError for ${what}`, () => {
        expect(() => new TunnelDialer(options() as ConstructorParameters<typeof TunnelDialer>[0]))
          .to.throw(InvalidOptionError)
          .with.property('option', option);
      });
    }

    it('none for a key with its passphrase', async () => {
      const ssh = { ...node.ssh, privateKey: encrypted, passphrase: 'correct horse' };
      const dialer = new TunnelDialer({ ...base(), ssh });
      lab.onEnd(() => dialer.destroy());
      expect(await meets(dialer)).to.be.an.instanceOf(AuthenticationError);
    });
  });

  describe('do not end the process', () => {
    it('for a stream that is cut in one piece with its confirmation', async () => {
      const target = await startRawSshServer(lab, ({ client, socket, accept }) => {
        inOnePiece(socket, () => {
          accept();
          protocolOf(client).disconnect(2);
        });
      });
      const dialer = lab.dialer([], {
        nodes: [{ name: 'raw', address: '127.0.0.1', port: target.host.port }],
        ssh: { username: 'tunnel', privateKey: node.ssh.privateKey, hostKeys: insecureAcceptAnyHostKey() },
      });
      const uncaught = await uncaughtDuring(async () => {
        expect(await meets(dialer)).to.be.an.instanceOf(TunnelError);
      });
      expect(uncaught).to.deep.equal([]);
    });

    it('for nodes that fail in every way while nobody looks', async () => {
      const ways: ((one: SshNode) => void)[] = [
        (one) => one.faults.rejectKey(),
        (one) => one.faults.silent(),
        (one) => one.faults.stallHandshake(),
        (one) => one.faults.banner('nonsense\r\n', { endless: true }),
        (one) => void one.changeHostKey('rsa'),
        (one) => void one.stop(),
      ];
      const nodes = await Promise.all(ways.map((_, index) => lab.node({ name: `n${index}` })));
      const specs = nodes.map(({ spec }) => spec);
      ways.forEach((act, index) => act(nodes[index]!));
      const uncaught = await uncaughtDuring(async () => {
        const dialer = lab.dialer([], {
          nodes: specs,
          reconnect: { minMs: 1, maxMs: 2 },
          timeouts: { connectMs: 50 },
        });
        await until('all to fail', () => dialer.status().nodes.every(({ counts }) => counts.failed > 0));
        dialer.destroy();
      });
      expect(uncaught).to.deep.equal([]);
    });
  });
});
