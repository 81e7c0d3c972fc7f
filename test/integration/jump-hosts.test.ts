import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { knownHosts, TunnelDialer, type TransportError, type TunnelDialerOptions } from '../../lib/index.js';
import { describeFor } from '../support/applicability.js';
import { rejection, roundTrip, until } from '../support/dialer.js';
import { startEcho, startSink, startSource, type Endpoint } from '../support/endpoints.js';
import type { Sshd } from '../support/sshd.js';
import { publicKeyOf } from './keys.js';
import { nodeOf, Stage, waitForConnections } from './stage.js';

const MANY_BYTES = 32 * 1024 * 1024;

describeFor(['configure', 'processes', 'restart'], 'a node behind jump hosts', () => {
  const stage = new Stage();
  let outer: Sshd;
  let inner: Sshd;
  let node: Sshd;
  let echo: Endpoint;

  beforeEach(async () => {
    outer = await stage.sshd();
    const authorizedKeys = [publicKeyOf(outer)];
    [inner, node] = await Promise.all([stage.sshd({ authorizedKeys }), stage.sshd({ authorizedKeys })]);
    echo = await stage.use(startEcho(node));
  });
  afterEach(() => stage.end());

  /** Two bastions, one behind the other, and the node behind both. */
  function dialer(options: Partial<TunnelDialerOptions> = {}): TunnelDialer {
    const { username, privateKey } = outer;
    const created = new TunnelDialer({
      nodes: [
        nodeOf(node, { name: 'node', via: 'inner' }),
        nodeOf(inner, { name: 'inner', via: 'outer', bastion: true }),
        nodeOf(outer, { name: 'outer', bastion: true }),
      ],
      ssh: {
        username,
        privateKey,
        hostKeys: knownHosts([outer, inner, node].map((each) => each.knownHosts).join('\n')),
      },
      ...options,
    });
    stage.onEnd(() => created.destroy());
    return created;
  }

  it('is reached, with one connection to each', async () => {
    const through = dialer();
    await through.ready({ every: true });
    await Promise.all(Array.from({ length: 20 }, () => stage.dialEcho(through, echo)));
    for (const sshd of [outer, inner, node]) expect(await sshd.connectionCount()).to.equal(1);
  });

  it('gets and gives every byte', async () => {
    const through = dialer();
    const sink = await stage.use(startSink(node));
    const upload = await stage.dial(through, sink);
    const bytes = Buffer.alloc(MANY_BYTES, 'through two jump hosts ');
    upload.resume().end(bytes);
    expect((await sink.waitForReceived(1))[0]).to.deep.equal({
      bytes: MANY_BYTES,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      ended: true,
    });
    const source = await stage.use(startSource(MANY_BYTES, { place: node }));
    const download = await stage.dial(through, source);
    let received = 0;
    for await (const chunk of download) received += (chunk as Buffer).length;
    expect(received).to.equal(MANY_BYTES);
  });

  it('is connected to again when a jump host was killed, and its streams have failed until then', async () => {
    const through = dialer();
    for (const sshd of [outer, inner]) {
      const stream = await stage.dialEcho(through, echo);
      const failed = once(stream, 'error') as Promise<[TransportError]>;
      await sshd.killConnections();
      expect((await failed)[0]).to.include({ code: 'ECONNRESET', node: 'node' });
      await stage.dialEcho(through, echo);
    }
  });

  it('is found dead with a jump host that hangs, and connected to when that goes on', async () => {
    const through = dialer({
      health: { keepaliveIntervalMs: 200, keepaliveCountMax: 1 },
      timeouts: { connectMs: 1000 },
      reconnect: { maxMs: 500 },
    });
    const stream = await stage.dialEcho(through, echo);
    const failed = once(stream, 'error');
    await inner.stopAll();
    await failed;
    await until('the node', () => through.status().nodes[0]?.state !== 'ready');
    await inner.contAll();
    await through.ready({ every: true });
    await stage.dialEcho(through, echo);
  });

  it('is connected to again after all sshds were restarted at once', async () => {
    const through = dialer({ reconnect: { maxMs: 500 } });
    await through.ready({ every: true });
    await Promise.all([outer, inner, node].map((sshd) => sshd.restart()));
    await until('the loss', () => through.status().nodes.some(({ counts }) => counts.lost > 0));
    await through.ready({ every: true });
    await stage.dialEcho(through, echo);
  });

  it('is not reached through a jump host that forbids it, which says so', async () => {
    await inner.restart({ config: ['AllowTcpForwarding no'] });
    const error = await rejection(dialer().dial(echo.host, echo.port, { node: 'node' }));
    expect(error).to.include({ code: 'ERR_TUNNEL_NODE_UNAVAILABLE', node: 'node' });
    expect(error.message).to.match(
      /cannot be reached through inner: inner does not permit forwarding .*AllowTcpForwarding/,
    );
  });

  it('leaves no connection behind when its dialer is closed', async () => {
    const through = dialer();
    const stream = await stage.dialEcho(through, echo);
    const closed = through.close();
    await roundTrip(stream);
    stream.destroy();
    await closed;
    for (const sshd of [outer, inner, node]) await waitForConnections(sshd, 0);
  });
});
