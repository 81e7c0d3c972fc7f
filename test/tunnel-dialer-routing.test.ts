import { expect } from 'chai';
import {
  AllNodesFailedError,
  AuthenticationError,
  ChannelRefusedError,
  DialTimeoutError,
  EndpointError,
  HostKeyError,
  NodeUnavailableError,
  NoRouteError,
  PoolExhaustedError,
  TransportError,
  type TunnelError,
} from '../lib/errors.js';
import type { NodeSpec } from '../lib/fleet/node.js';
import type { TunnelDialerOptions } from '../lib/options.js';
import type { SshNode } from '../lib/testing/index.js';
import { generateKeyPair } from '../lib/testing/keys.js';
import type { TunnelDialer } from '../lib/tunnel-dialer.js';
import { Lab, rejection, roundTrip, until, type Endpoint } from './support/dialer.js';

const podIP = '10.244.1.7';

describe('TunnelDialer: which node carries a dial', () => {
  let lab: Lab;
  let endpoint: Endpoint;
  let owner: SshNode;
  let other: SshNode;
  /** The hosts that each node was asked for. */
  let asked: string[];

  beforeEach(async () => {
    lab = new Lab();
    asked = [];
    endpoint = await lab.endpoint();
    const redirect = (name: string) => (host: string, port: number) => {
      asked.push(`${name} ${host}`);
      return { host: '127.0.0.1', port };
    };
    owner = await lab.node({ name: 'owner', redirect: redirect('owner') });
    other = await lab.node({ name: 'other', redirect: redirect('other'), host: '127.0.0.2' });
  });

  afterEach(async () => {
    await lab.end();
  });

  /** A dialer to both nodes, the first of which owns a pod network. */
  async function create(
    more: Partial<NodeSpec> = {},
    options: Partial<TunnelDialerOptions> = {},
    readyNodes = 2,
  ): Promise<TunnelDialer> {
    const dialer = lab.dialer([], {
      nodes: [{ ...owner.spec, podCIDRs: ['10.244.1.0/24'], ...more }, other.spec],
      reconnect: { minMs: 60_000, maxMs: 60_000 },
      ...options,
    });
    await until(
      'ready nodes',
      () => dialer.status().nodes.filter(({ state }) => state === 'ready').length >= readyNodes,
    );
    return dialer;
  }

  const dial = (dialer: TunnelDialer, host: string, options = {}) =>
    dialer.dial(host, endpoint.port, options);

  it('is the node that the name or an address means, always', async () => {
    const dialer = await create({ addresses: ['owner.internal', '192.0.2.1', 'fd00::1'] });
    for (const host of [
      'owner',
      'OWNER',
      'owner.internal',
      '192.0.2.1',
      '[fd00::1]',
      '127.0.0.1',
      '::ffff:192.0.2.1',
    ]) {
      expect(await dial(dialer, host)).to.include({ node: 'owner' });
    }
    expect(await dial(dialer, '127.0.0.2')).to.include({ node: 'other' });
  });

  it('asks the node for itself by its address, or by selfAddress', async () => {
    const dialer = await create();
    await dial(dialer, 'owner');
    expect(asked).to.deep.equal(['owner 127.0.0.1']);
    dialer.update([{ ...owner.spec, selfAddress: '::1' }]);
    await dial(dialer, 'owner');
    await dial(dialer, '127.0.0.1');
    expect(asked.slice(1)).to.deep.equal(['owner ::1', 'owner ::1']);
  });

  it('is the owner of the pod network', async () => {
    const dialer = await create();
    for (let times = 0; times < 5; times += 1)
      expect(await dial(dialer, podIP)).to.include({ node: 'owner' });
    expect(asked).to.deep.equal(Array.from({ length: 5 }, () => `owner ${podIP}`));
  });

  it('is any ready node for anything else, such as a name that the node resolves', async () => {
    const dialer = await create();
    const nodes = new Set<string>();
    for (let times = 0; times < 40; times += 1)
      nodes.add((await dial(dialer, 'kubernetes.default.svc')).node);
    expect([...nodes].sort()).to.deep.equal(['other', 'owner']);
    expect(asked[0]).to.match(/ kubernetes\.default\.svc$/);
  });

  it('is the less busy of two for anything else', async () => {
    const dialer = await create();
    for (let times = 0; times < 10; times += 1) await dial(dialer, 'other');
    for (let times = 0; times < 5; times += 1)
      expect(await dial(dialer, '10.96.0.1')).to.include({ node: 'owner' });
  });

  it("is none for anything else with onMiss 'reject'", async () => {
    const dialer = await create({}, { onMiss: 'reject' });
    const error = await rejection<NoRouteError>(dial(dialer, '10.96.0.1'));
    expect(error)
      .to.be.an.instanceOf(NoRouteError)
      .and.include({ code: 'ERR_TUNNEL_NO_ROUTE', host: '10.96.0.1' });
    expect(await dial(dialer, podIP)).to.include({ node: 'owner' });
  });

  it('is the node that the caller names, whatever the host', async () => {
    const dialer = await create({}, { onMiss: 'reject' });
    expect(await dial(dialer, podIP, { node: 'other' })).to.include({ node: 'other' });
    expect(await dial(dialer, '127.0.0.1', { node: 'other' })).to.include({ node: 'other' });
    expect(asked).to.deep.equal([`other ${podIP}`, 'other 127.0.0.1']);
  });

  it('is none when there are no nodes', async () => {
    const dialer = lab.dialer([]);
    expect(await rejection(dial(dialer, 'owner'))).to.be.an.instanceOf(NoRouteError);
  });

  describe('when the owner of the pod network', () => {
    it('is down: another', async () => {
      await owner.stop();
      const dialer = await create({}, {}, 1);
      const stream = await dial(dialer, podIP);
      expect(stream).to.include({ node: 'other' });
      await roundTrip(stream);
      expect(asked).to.deep.equal([`other ${podIP}`]);
    });

    it('is lost before the channel is open: another', async () => {
      const dialer = await create({}, { pool: { minConnections: 0 } }, 0);
      owner.faults.stallHandshake();
      const dialled = dial(dialer, podIP);
      await owner.until(({ connections }) => connections === 1);
      owner.cut('rst');
      expect(await dialled).to.include({ node: 'other' });
    });

    it('does not connect in time: another, within the deadline of the dial', async () => {
      owner.faults.stallHandshake();
      const dialer = await create({}, { timeouts: { connectMs: 500 }, reconnect: { minMs: 1, maxMs: 5 } }, 1);
      expect(await dial(dialer, podIP)).to.include({ node: 'other' });
    });

    it('hangs: another, tried beside it, and nothing is left on either', async () => {
      const dialer = await create({}, { timeouts: { hedgeAfterMs: 20 } });
      owner.faults.neverAnswer();
      const stream = await dial(dialer, podIP);
      expect(stream).to.include({ node: 'other' });
      await roundTrip(stream);
      const [first] = dialer.status().nodes;
      expect(first?.channels).to.deep.equal({ open: 0, waiting: 0 });
    });

    it('refuses our key, or has the wrong host key: another', async () => {
      owner.faults.rejectKey();
      const dialer = await create({}, {}, 1);
      expect(await dial(dialer, podIP)).to.include({ node: 'other' });
      owner.faults.reset();
      owner.changeHostKey();
      const wrong = await create({ hostKey: other.spec.hostKey }, {}, 1);
      expect(await dial(wrong, podIP)).to.include({ node: 'other' });
    });

    it('has no resources for a channel: another', async () => {
      const dialer = await create();
      owner.faults.refuse({ reason: 4 });
      expect(await dial(dialer, podIP)).to.include({ node: 'other' });
    });

    it('is full: none, because its own pods are its business', async () => {
      const dialer = await create(
        {},
        { pool: { maxConnections: 1, maxChannelsPerConnection: 1, maxQueue: 0 } },
      );
      await dial(dialer, podIP);
      expect(await rejection(dial(dialer, podIP)))
        .to.be.an.instanceOf(PoolExhaustedError)
        .and.include({ node: 'owner' });
    });

    it('was answered by the endpoint: none', async () => {
      const dialer = await create();
      await endpoint.close();
      const error = await rejection<EndpointError>(dial(dialer, podIP));
      expect(error).to.be.an.instanceOf(EndpointError);
      expect(error).to.include({ code: 'ECONNREFUSED', node: 'owner', host: podIP });
      expect(asked).to.deep.equal([`owner ${podIP}`]);
    });

    it('forbids the channel: none', async () => {
      const dialer = await create();
      owner.faults.refuse({ reason: 1 });
      expect(await rejection(dial(dialer, podIP)))
        .to.be.an.instanceOf(ChannelRefusedError)
        .and.include({
          code: 'ERR_TUNNEL_PROHIBITED',
        });
      expect(asked).to.deep.equal([]);
    });

    it('lets the deadline of the dial pass: none', async () => {
      const dialer = await create();
      owner.faults.neverAnswer();
      const error = await rejection(dial(dialer, podIP, { timeoutMs: 50 }));
      expect(error).to.be.an.instanceOf(DialTimeoutError).and.include({ phase: 'open', node: 'owner' });
      expect(asked).to.deep.equal([]);
    });

    it('is being waited for when the caller gives up: none', async () => {
      const dialer = await create();
      owner.faults.neverAnswer();
      const controller = new AbortController();
      const given = rejection(dial(dialer, podIP, { signal: controller.signal }));
      await owner.until(({ pendingOpens }) => pendingOpens === 1);
      controller.abort('enough');
      expect(await given).to.equal('enough');
      expect(asked).to.deep.equal([]);
    });
  });

  describe('that is meant by the host is the only one', () => {
    it('when it is down', async () => {
      await owner.stop();
      const dialer = await create({}, {}, 1);
      const error = await rejection<NodeUnavailableError>(dial(dialer, 'owner'));
      expect(error).to.be.an.instanceOf(NodeUnavailableError).and.include({ node: 'owner' });
    });

    it('when its host key is wrong', async () => {
      owner.changeHostKey();
      const hostKey = generateKeyPair('ed25519').publicKey;
      const dialer = await create({ hostKey }, { pool: { minConnections: 0 } }, 0);
      const error = await rejection<HostKeyError>(dial(dialer, '127.0.0.1'));
      expect(error).to.be.an.instanceOf(HostKeyError).and.include({ node: 'owner' });
      expect(asked).to.deep.equal([]);
    });

    it('when it refuses our key', async () => {
      owner.faults.rejectKey();
      const dialer = await create({}, { pool: { minConnections: 0 } }, 0);
      expect(await rejection(dial(dialer, 'owner'))).to.be.an.instanceOf(AuthenticationError);
    });
  });

  describe('for anything else moves on', () => {
    it('from a node that is full', async () => {
      const dialer = await create(
        {},
        { pool: { maxConnections: 1, maxChannelsPerConnection: 1, maxQueue: 0 } },
      );
      await dial(dialer, 'owner');
      for (let times = 0; times < 3; times += 1) {
        const stream = await dial(dialer, '10.96.0.1');
        expect(stream).to.include({ node: 'other' });
        stream.destroy();
        await other.until(({ channels }) => channels === 0);
      }
    });

    it('from node to node, and says what was wrong with each when all fail', async () => {
      await owner.stop();
      other.faults.rejectKey();
      const dialer = lab.dialer([owner, other], { reconnect: { minMs: 60_000, maxMs: 60_000 } });
      await until('both down', () => dialer.status().nodes.every(({ state }) => state === 'down'));
      const error = await rejection<AllNodesFailedError>(dial(dialer, '10.96.0.1'));
      expect(error).to.be.an.instanceOf(AllNodesFailedError).and.be.an.instanceOf(AggregateError);
      expect(error).to.include({
        code: 'ERR_TUNNEL_ALL_NODES_FAILED',
        host: '10.96.0.1',
        port: endpoint.port,
      });
      expect(error.errors.map(({ node }) => node)).to.have.members(['owner', 'other']);
      for (const one of error.errors) expect(one).to.be.an.instanceOf(NodeUnavailableError);
      const causes = error.errors.map(({ cause }) => (cause as TunnelError).constructor);
      expect(causes).to.have.members([TransportError, AuthenticationError]);
      expect(error.message)
        .to.include('owner: ')
        .and.include('other: ')
        .and.include('ECONNREFUSED')
        .and.include('authorized_keys');
    });

    it('in the order tried', async () => {
      const dialer = await create();
      owner.faults.refuse({ reason: 4 });
      other.faults.refuse({ reason: 4 });
      const error = await rejection<AllNodesFailedError>(dial(dialer, podIP));
      expect(error.errors.map(({ node, code }) => `${String(node)} ${code}`)).to.deep.equal([
        'owner ERR_TUNNEL_RESOURCE',
        'other ERR_TUNNEL_RESOURCE',
      ]);
      expect(error.host).to.equal(podIP);
    });
  });
});
