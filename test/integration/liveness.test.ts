import { expect } from 'chai';
import { once } from 'node:events';
import { roundTrip } from '../support/dialer.js';
import { startEcho, startEndpoint, startSource } from '../support/endpoints.js';
import { describeFor } from '../support/applicability.js';
import { waitUntil } from '../support/processes.js';
import { TunnelDialer, type NodeSpec } from '../../lib/index.js';
import { Stage, nodeOf, nodeStatus } from './stage.js';

const KIB = 1024;
const LINK_BYTES_PER_SECOND = 300 * KIB;

/** Dead 1.5 s after the last byte: on the slow link that is some 450 KB. */
const IMPATIENT = { keepaliveIntervalMs: 500, keepaliveCountMax: 2 };

describe('a link to a real sshd that is slow and full', () => {
  const stage = new Stage();
  afterEach(() => stage.end());

  for (const direction of ['up', 'down', 'up by many streams at once'] as const) {
    it(`is never taken for dead while bytes flow ${direction}`, async function () {
      this.timeout(60_000);
      const sshd = await stage.sshd();
      const { proxy, access } = await stage.proxied(sshd);
      const dialer = stage.dialer(access, { health: IMPATIENT, pool: { maxConnections: 1 } });
      await dialer.ready();
      for (const way of [proxy.up, proxy.down]) way.throttle(LINK_BYTES_PER_SECOND);
      const total = 6 * IMPATIENT.keepaliveIntervalMs * (LINK_BYTES_PER_SECOND / 1000);
      if (direction === 'down') {
        const source = await stage.use(startSource(total, { place: sshd }));
        const stream = await stage.dial(dialer, source);
        await once(stream.resume(), 'end');
      } else {
        const count = direction === 'up' ? 1 : 20;
        let taken = 0;
        const sink = await stage.use(
          startEndpoint((peer) => void peer.on('data', (chunk: Buffer) => (taken += chunk.length)), sshd),
        );
        const streams = await Promise.all(Array.from({ length: count }, () => stage.dial(dialer, sink)));
        for (const stream of streams) stream.write(Buffer.alloc(total / count));
        await waitUntil('all of it', () => taken >= total, 30_000);
      }
      expect(nodeStatus(dialer).counts.lost).to.equal(0);
    });
  }

  it('is no reason to take an idle node for dead that shares it, behind a jump host', async function () {
    this.timeout(60_000);
    const bastion = await stage.sshd();
    const { proxy, access } = await stage.proxied(bastion);
    const { username, privateKey } = access;
    const address = bastion.address;
    const behind = (name: string): NodeSpec => ({
      name,
      address,
      port: bastion.port,
      hostKey: bastion.hostKeys[0],
      via: 'bastion',
    });
    const bastionSpec = {
      ...nodeOf(access, { name: 'bastion', bastion: true }),
      hostKey: bastion.hostKeys[0],
    };
    const dialer = new TunnelDialer({
      nodes: [bastionSpec, behind('busy'), behind('idle')],
      ssh: { username, privateKey },
      health: IMPATIENT,
      pool: { maxConnections: 1 },
    });
    stage.onEnd(() => dialer.destroy());
    await dialer.ready({ every: true });
    proxy.up.throttle(LINK_BYTES_PER_SECOND);
    let taken = 0;
    const sink = await stage.use(
      startEndpoint((peer) => void peer.on('data', (chunk: Buffer) => (taken += chunk.length)), bastion),
    );
    const total = 12 * IMPATIENT.keepaliveIntervalMs * (LINK_BYTES_PER_SECOND / 1000);
    const stream = await stage.dial(dialer, sink, { node: 'busy' });
    stream.write(Buffer.alloc(total));
    await waitUntil('all of it', () => taken >= total, 30_000);
    expect(dialer.status().nodes.map(({ name, counts }) => `${name} ${counts.lost}`)).to.deep.equal([
      'bastion 0',
      'busy 0',
      'idle 0',
    ]);
  });
});

describeFor(['processes'], 'a node whose sshd hangs', () => {
  const stage = new Stage();
  afterEach(() => stage.end());

  it('is down, its streams error, and it is connected as soon as it answers', async () => {
    const sshd = await stage.sshd();
    const dialer = stage.dialer(sshd, {
      health: { keepaliveIntervalMs: 100, keepaliveCountMax: 2 },
      timeouts: { connectMs: 300 },
      reconnect: { minMs: 10, maxMs: 100 },
    });
    const echo = await stage.use(startEcho(sshd));
    const stream = await stage.dialEcho(dialer, echo);
    const errored = once(stream, 'error');
    await sshd.stopAll();
    expect((await errored)[0]).to.include({ code: 'ECONNRESET' });
    await waitUntil('the node to be down', () => nodeStatus(dialer).state === 'down');
    await sshd.contAll();
    await waitUntil('the node to be ready', () => nodeStatus(dialer).state === 'ready');
    await roundTrip(await stage.dial(dialer, echo), '.');
  });
});
