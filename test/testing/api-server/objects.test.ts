import { expect } from 'chai';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kubernetesNodes } from '../../../lib/kubernetes/index.js';
import { startApiServer, type ApiServer } from '../../../lib/testing/index.js';
import { type Followed, Stage } from '../../kubernetes/stage.js';
import { describeFor } from '../../support/applicability.js';
import { Kubectl, kubectlHere } from '../../support/kubectl.js';
import { ask } from './client.js';

const node = (name: string) => ({
  kind: 'Node',
  metadata: { name },
  status: {
    addresses: [{ type: 'InternalIP', address: '10.0.0.1' }],
    conditions: [{ type: 'Ready', status: 'True' }],
  },
});

const pod = (name: string, app: string) => ({
  kind: 'Pod',
  metadata: { name, labels: { app } },
  spec: { nodeName: 'node-1', containers: [{ name: 'app', ports: [{ containerPort: 8080 }] }] },
  status: { phase: 'Running', podIP: '10.244.1.5' },
});

describe('testing: the objects of an API server', () => {
  let server: ApiServer;

  beforeEach(async () => {
    server = await startApiServer({ objects: [node('node-1'), pod('web', 'web'), pod('db', 'db')] });
  });
  afterEach(() => server.close());

  const get = (path: string) => ask(server, path, { user: 'admin' });
  const namesIn = async (path: string): Promise<string[]> => {
    const { body } = await get(path);
    return (body.items as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name);
  };

  it('are got, listed, and chosen by labels and fields', async () => {
    expect((await get('/api/v1/namespaces/default/pods/web')).body).to.deep.include({
      kind: 'Pod',
      apiVersion: 'v1',
    });
    expect(await namesIn('/api/v1/pods')).to.deep.equal(['db', 'web']);
    expect(await namesIn('/api/v1/namespaces/default/pods?labelSelector=app%3Dweb')).to.deep.equal(['web']);
    expect(await namesIn('/api/v1/pods?labelSelector=app!%3Dweb,app')).to.deep.equal(['db']);
    expect(await namesIn('/api/v1/pods?fieldSelector=metadata.name%3Ddb')).to.deep.equal(['db']);
    expect(await namesIn('/api/v1/namespaces/other/pods')).to.deep.equal([]);
    expect((await get('/api/v1/namespaces/default/pods/nope')).body).to.include({
      code: 404,
      message: 'pods "nope" not found',
    });
  });

  it('come page by page, if a client asks for that', async () => {
    const { body } = await get('/api/v1/pods?limit=1');
    const { continue: next } = body.metadata as { continue: string };
    expect(await namesIn(`/api/v1/pods?limit=1&continue=${next}`)).to.deep.equal(['web']);
  });

  it('of endpointslices are not there on an old cluster', async () => {
    await using old = await startApiServer({
      endpointSlices: false,
      objects: [{ kind: 'Endpoints', metadata: { name: 'web' } }],
    });
    const slices = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices';
    expect(await ask(old, slices, { user: 'admin' })).to.include({ status: 404 });
    expect(await get(slices)).to.include({ status: 200 });
    expect(await ask(old, '/api/v1/namespaces/default/endpoints/web', { user: 'admin' })).to.include({
      status: 200,
    });
  });

  it('are created, replaced and deleted through the API', async () => {
    const path = '/api/v1/namespaces/default/pods';
    const write = async (method: string, at: string, body?: unknown) =>
      (await ask(server, at, { method, user: 'admin', body })).status;
    expect(await write('POST', path, pod('new', 'x'))).to.equal(201);
    expect(await write('POST', path, pod('new', 'x'))).to.equal(409);
    expect(await write('PUT', `${path}/new`, pod('new', 'y'))).to.equal(200);
    expect(await write('PUT', `${path}/new`, pod('other', 'y'))).to.equal(400);
    expect(await namesIn('/api/v1/pods?labelSelector=app%3Dy')).to.deep.equal(['new']);
    expect(await write('DELETE', `${path}/new`)).to.equal(200);
    expect(await write('DELETE', `${path}/new`)).to.equal(404);
    expect(await write('PATCH', `${path}/web`)).to.equal(405);
  });

  it('have no way to their kubelets', async () => {
    for (const path of ['/api/v1/namespaces/default/pods/web/log', '/api/v1/nodes/node-1/proxy/healthz'])
      expect((await get(path)).body.message).to.equal(
        'error dialing backend: this API server has no route to its nodes',
      );
    const headers = { connection: 'upgrade', upgrade: 'SPDY/3.1' };
    const exec = '/api/v1/namespaces/default/pods/web/exec';
    expect(await ask(server, exec, { method: 'POST', user: 'admin', headers })).to.include({ status: 500 });
  });

  it('are watched from where a list has ended', async () => {
    const { resourceVersion } = (await get('/api/v1/pods')).body.metadata as { resourceVersion: string };
    server.remove('Pod', 'db');
    const path = `/api/v1/namespaces/default/pods?watch=1&resourceVersion=${resourceVersion}&labelSelector=app`;
    const watch = requestHttps(`${server.url}${path}`, {
      ca: server.certificateAuthority,
      agent: false,
      headers: { authorization: `Bearer ${server.tokenOf('admin')}` },
    }).end();
    const [response] = (await once(watch, 'response')) as [IncomingMessage];
    server.put(pod('new', 'new'));
    server.put({ ...pod('new', 'new'), metadata: { name: 'new' } });
    const events: string[] = [];
    for await (const part of response.setEncoding('utf8')) {
      for (const line of (part as string).split('\n').filter((each) => each !== '')) {
        const { type, object } = JSON.parse(line) as { type: string; object: { metadata: { name: string } } };
        events.push(`${type} ${object.metadata.name}`);
      }
      if (events.length === 3) break;
    }
    expect(events).to.deep.equal(['DELETED db', 'ADDED new', 'DELETED new']);
  });

  it('of nodes are followed by kubernetesNodes', async () => {
    const stage = await Stage.start();
    const kubeconfig = join(stage.folder, 'own');
    await writeFile(kubeconfig, server.kubeconfig('admin'));
    const followed: Followed = stage.keep(kubernetesNodes({ kubeconfig, retryMinMs: 1, retryMaxMs: 1 }));
    expect(await followed.next()).to.equal('node-1');
    server.put(node('node-2'));
    expect(await followed.next()).to.equal('node-1,node-2');
    server.remove('Node', 'node-1');
    expect(await followed.next()).to.equal('node-2');
    await stage.end();
  });

  describeFor(kubectlHere, 'as kubectl sees them', () => {
    it('are all there', async function () {
      this.timeout(30_000);
      await using kubectl = await Kubectl.create(server.kubeconfig('admin'));
      const run = async (...args: string[]) => {
        const { code, stdout, stderr } = await kubectl.run(args);
        return code === 0 ? stdout : `${code} ${stderr}`;
      };
      expect(await run('get', 'nodes')).to.match(/^NAME +STATUS +AGE\nnode-1 +Ready +\d+s\n$/);
      expect(await run('get', 'pods', '--all-namespaces')).to.match(/default +web +Running +node-1/);
      expect(await run('get', 'pod', 'web', '--output=jsonpath={.status.podIP}')).to.equal('10.244.1.5');
      for (const args of ['logs web', 'exec web -- true', 'port-forward pod/web 0:8080'])
        expect(await run(...args.split(' '))).to.contain('error dialing backend');
      expect(server.requests.at(-1)).to.include({
        method: 'POST',
        url: '/api/v1/namespaces/default/pods/web/portforward',
      });
    });
  });
});
