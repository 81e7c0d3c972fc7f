import { expect } from 'chai';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request } from 'node:https';
import { createInterface, type Interface } from 'node:readline';
import {
  runPods,
  startApiServer,
  startKubelet,
  type ApiObject,
  type ApiServer,
  type Kubelet,
} from '../../lib/testing/index.js';
import { until } from '../support/dialer.js';
import { ask } from './api-server/client.js';

const PODS = '/api/v1/namespaces/default/pods';

interface PodStatus {
  readonly phase: string;
  readonly containerStatuses?: readonly { readonly state: object }[];
}

describe('testing: the pods that come to an API server, on a kubelet', () => {
  let apiServer: ApiServer;
  let kubelet: Kubelet;
  let stop: () => void;

  beforeEach(async () => {
    apiServer = await startApiServer();
    kubelet = await startKubelet({ pods: [] });
    stop = runPods(apiServer, kubelet);
  });
  afterEach(async () => {
    stop();
    await kubelet.close();
    await apiServer.close();
  });

  const pod = (name: string, script: string, spec: object = {}): ApiObject => ({
    kind: 'Pod',
    metadata: { name, uid: 'of-the-client', creationTimestamp: null },
    spec: { containers: [{ name: 'app', image: 'busybox', args: ['sh', '-c', script] }], ...spec },
    status: {},
  });
  const create = (body: ApiObject) => ask(apiServer, PODS, { method: 'POST', user: 'admin', body });
  const statusOf = (name: string) => apiServer.get('Pod', name)?.status as PodStatus | undefined;
  const reached = (name: string, phase: string) =>
    until(`${name} is ${phase}`, () => statusOf(name)?.phase === phase);

  /** The phases of a pod, as a client that watches is told. */
  async function watch(name: string): Promise<{ lines: Interface; phases: string[] }> {
    const path = `${PODS}?watch=1&fieldSelector=metadata.name%3D${name}`;
    const watching = request(`${apiServer.url}${path}`, {
      ca: apiServer.certificateAuthority,
      agent: false,
      headers: { authorization: `Bearer ${apiServer.tokenOf('admin')}` },
    }).end();
    const [response] = (await once(watching, 'response')) as [IncomingMessage];
    response.on('error', () => undefined);
    const phases: string[] = [];
    const lines = createInterface(response).on('line', (line) => {
      const { type, object } = JSON.parse(line) as { type: string; object: { status: PodStatus } };
      phases.push(`${type} ${object.status.phase}`);
    });
    return { lines, phases };
  }

  it('are pending, run, and end as their containers do, and who watches sees it in this order', async () => {
    const { lines, phases } = await watch('once');
    const { status, body } = await create(pod('once', 'echo hello; exit 3'));
    expect(status).to.equal(201);
    expect(body).to.have.nested.property('status.phase', 'Pending');
    expect(body).to.have.nested.property('metadata.creationTimestamp').that.is.a('string');
    expect(body).to.have.nested.property('metadata.uid').that.is.not.equal('of-the-client');
    await reached('once', 'Failed');
    expect(statusOf('once')?.containerStatuses?.[0]?.state).to.deep.equal({ terminated: { exitCode: 3 } });
    expect(apiServer.get('Pod', 'once')).to.have.nested.property('spec.nodeName', 'node-1');
    while (phases.length < 3) await once(lines, 'line');
    expect(phases).to.deep.equal(['ADDED Pending', 'MODIFIED Running', 'MODIFIED Failed']);
    lines.close();
  });

  it('are told of in this order also to who watches since later', async () => {
    apiServer.put({ kind: 'Pod', metadata: { name: 'other' }, status: { phase: 'Running' } });
    const seen: string[] = [];
    const unfollow = apiServer.onChange(({ after }) => {
      if (after !== undefined) seen.push((after.status as PodStatus).phase);
    });
    await create(pod('once', 'exit 0'));
    await reached('once', 'Succeeded');
    await until('all of it', () => seen.length === 3);
    expect(seen).to.deep.equal(['Pending', 'Running', 'Succeeded']);
    unfollow();
    apiServer.remove('Pod', 'once');
    await new Promise((resolve) => setImmediate(resolve));
    expect(seen).to.have.length(3);
  });

  it('are killed when they are deleted, and do not come back by their end', async () => {
    await create(pod('long', 'sleep 1000'));
    await reached('long', 'Running');
    const { ended } = kubelet.container('default', 'long', 'app');
    expect(await ask(apiServer, `${PODS}/long`, { method: 'DELETE', user: 'admin' })).to.include({
      status: 200,
    });
    expect(await ended).to.equal(137);
    expect(statusOf('long')).to.equal(undefined);
    await create(pod('long', 'exit 0'));
    await reached('long', 'Succeeded');
  });

  it('of another node, or with a phase, are left alone', async () => {
    await create(pod('there', 'exit 0', { nodeName: 'node-2' }));
    apiServer.put({ ...pod('running', 'exit 0'), status: { phase: 'Running' } });
    await create(pod('ours', 'exit 0', { nodeName: 'node-1' }));
    await reached('ours', 'Succeeded');
    expect([statusOf('there')?.phase, statusOf('running')?.phase]).to.deep.equal(['Pending', 'Running']);
  });

  it('that the kubelet cannot run have failed', async () => {
    kubelet.addPod({ name: 'taken', containers: [] });
    await create(pod('taken', 'exit 0'));
    await reached('taken', 'Failed');
  });

  it('run no more when it is told to stop', async () => {
    stop();
    await create(pod('late', 'exit 0'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(statusOf('late')?.phase).to.equal('Pending');
  });
});
