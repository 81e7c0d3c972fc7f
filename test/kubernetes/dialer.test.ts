import { expect } from 'chai';
import { kubernetesNodes } from '../../lib/kubernetes/index.js';
import { TunnelDialer } from '../../lib/tunnel-dialer.js';
import type { SshNode } from '../../lib/testing/index.js';
import { Lab, roundTrip, until } from '../support/dialer.js';
import { status, type FakeNode } from '../support/fake-api-server.js';
import { nodeOf, Stage } from './stage.js';

describe('TunnelDialer: the nodes of a cluster', () => {
  let stage: Stage;
  let lab: Lab;

  beforeEach(async () => {
    stage = await Stage.start();
    lab = new Lab();
  });

  afterEach(async () => {
    await lab.end();
    await stage.end();
  });

  /** The Node that an SSH node is. */
  const registered = ({ name, spec }: SshNode, hostKey = spec.hostKey): FakeNode =>
    nodeOf(name, {
      metadata: {
        name,
        annotations: { 'tunnel-dialer/ssh-host-key': hostKey, 'tunnel-dialer/ssh-port': String(spec.port) },
      },
      status: { addresses: [{ type: 'InternalIP', address: spec.address }] },
    });

  it('are dialled by what their annotations say, also while the API fails, and until they are gone', async () => {
    const { server } = stage;
    const endpoint = await lab.endpoint();
    const [a, b] = [await lab.node({ name: 'a' }), await lab.node({ name: 'b' })];
    server.put(registered(a));
    await stage.write('kubeconfig', server.kubeconfig());
    const nodes = kubernetesNodes({ kubeconfig: stage.kubeconfig, retryMinMs: 1, retryMaxMs: 1 });
    const { username, privateKey } = a.ssh;
    const refuseAll = {
      keyTypes: () => undefined,
      verify: () => ({ verdict: 'rejected', reason: 'unknown' }) as const,
    };
    const dialer = new TunnelDialer({ nodes, ssh: { username, privateKey, hostKeys: refuseAll } });
    lab.onEnd(() => dialer.destroy());
    await dialer.ready();
    const stream = await dialer.dial('127.0.0.1', endpoint.port, { node: 'a' });
    lab.onEnd(() => stream.on('error', () => undefined).destroy());
    await server.request('watch');
    // Enough for the status to be seen.
    server.fail('list', ...Array.from({ length: 10_000 }, () => status(500, 'etcd is gone')));
    server.cutWatches();
    await until(
      'staleness',
      () => dialer.status().source?.failure?.message.includes('etcd is gone') === true,
    );
    expect(dialer.status().source).to.include({ state: 'stale' });
    await roundTrip(stream);
    server.heal();
    server.put(registered(b));
    await until('b', () =>
      dialer.status().nodes.some(({ name, state }) => name === 'b' && state === 'ready'),
    );
    expect(dialer.status().source).to.include({ state: 'current' });
    await roundTrip(stream);
    server.remove('a');
    await until('the end of a', () => dialer.status().nodes.every(({ name }) => name === 'b'));
  });
});
