import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect } from 'chai';
import { startKubelet, type Kubelet, type KubeletOptions } from '../../../lib/testing/index.js';
import { echo, read } from '../../support/dialer.js';
import { ask, type Answer } from './client.js';

describe('testing: what else a kubelet answers', () => {
  let kubelet: Kubelet;
  before(async () => {
    kubelet = await startKubelet();
  });
  after(() => kubelet.close());

  const json = async (path: string): Promise<unknown> => JSON.parse((await ask(kubelet, path)).body);

  it('is healthy', async () => {
    for (const path of ['/healthz', '/healthz/ping', '/healthz/log', '/healthz/syncloop']) {
      expect((await ask(kubelet, path)).body, path).to.equal('ok');
    }
  });

  it('tells its pods', async () => {
    const list = (await json('/pods')) as { items: { metadata: object; status: object }[] };
    expect(list.items[0]?.metadata).to.include({ name: 'web', namespace: 'default' });
    expect(list.items[0]?.status).to.have.nested.property('containerStatuses[0].state.running');
    expect(await json('/runningpods/')).to.have.nested.property('items[0].spec.containers[0].name', 'app');
  });

  it('has statistics, metrics and a configuration', async () => {
    expect(await json('/stats/summary')).to.have.nested.property('node.nodeName', 'node-1');
    expect(await json('/configz')).to.have.nested.property('kubeletconfig.kind', 'KubeletConfiguration');
    for (const path of ['/metrics', '/metrics/cadvisor', '/metrics/resource', '/metrics/probes']) {
      const { headers, body } = await ask(kubelet, path);
      expect(headers['content-type']).to.include('version=0.0.4');
      for (const line of body.trimEnd().split('\n')) {
        expect(line).to.match(/^(# (HELP|TYPE) \w+ .+|\w+({(\w+="[^"]*",?)+})? [\d.e+-]+)$/);
      }
    }
  });

  it('knows no other paths, and no other methods', async () => {
    for (const path of ['/', '/nowhere', '//healthz', '/%zz', '/metrics/constructor']) {
      expect((await ask(kubelet, path)).status, path).to.equal(404);
    }
    const { status, headers } = await ask(kubelet, '/pods', { method: 'DELETE' });
    expect({ status, allow: headers.allow }).to.deep.equal({ status: 405, allow: 'GET' });
  });

  it('answers a request that wants another protocol as if it did not', async () => {
    const headers = { authorization: `Bearer ${kubelet.token}`, connection: 'Upgrade', upgrade: 'h2c' };
    const before = kubelet.requests.length;
    expect(await ask(kubelet, '/healthz', { headers })).to.include({ status: 200, body: 'ok' });
    expect(kubelet.requests.length).to.equal(before + 1);
    expect(await ask(kubelet, '/healthz', { headers: { ...headers, authorization: 'x' } })).to.include({
      status: 401,
    });
  });

  it('remembers the last thousand requests', async () => {
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    for (let count = 0; count < 1001; count += 1) await ask(kubelet, `/healthz?${count}`, { agent });
    agent.destroy();
    expect(kubelet.requests.length).to.equal(1000);
    expect(kubelet.requests.at(-1)?.url).to.equal('/healthz?1000');
  });
});

describe('testing: the SPDY of a kubelet', () => {
  const path = '/exec/default/web/app?output=1&command=true';
  const offer = ['v5.channel.k8s.io', 'v4.channel.k8s.io'];

  const upgrade = (kubelet: Kubelet, protocols = offer, at = path): ReturnType<typeof https.request> => {
    const { host, port, certificateAuthority: ca, token } = kubelet;
    const request = https.request({ host, port, path: at, method: 'POST', ca, agent: false });
    request.setHeader('authorization', `Bearer ${token}`);
    request.setHeader('connection', 'Upgrade').setHeader('upgrade', 'SPDY/3.1');
    if (protocols.length > 0) request.setHeader('x-stream-protocol-version', protocols);
    request.on('error', () => undefined);
    return request.end();
  };

  const refused = async (request: ReturnType<typeof upgrade>): Promise<Answer> => {
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return { status: response.statusCode, headers: response.headers, body: await text(response) };
  };

  const withSpdy = (spdy: KubeletOptions['spdy'] = echo as (stream: Duplex) => void): Promise<Kubelet> =>
    startKubelet({ spdy });

  it('hands over the stream after the 101', async () => {
    await using kubelet = await withSpdy();
    const [response, socket] = (await once(upgrade(kubelet), 'upgrade')) as [IncomingMessage, Duplex];
    expect(response.statusCode).to.equal(101);
    expect(response.headers).to.include({
      upgrade: 'SPDY/3.1',
      'x-stream-protocol-version': 'v4.channel.k8s.io',
    });
    socket.on('error', () => undefined);
    socket.write('bytes');
    expect((await read(socket, 5)).toString()).to.equal('bytes');
    await kubelet.close();
    if (!socket.closed) await once(socket, 'close');
  });

  it('knows another protocol for ports', async () => {
    await using kubelet = await withSpdy();
    const request = upgrade(kubelet, ['portforward.k8s.io'], '/portForward/default/web');
    const [response, socket] = (await once(request, 'upgrade')) as [IncomingMessage, Duplex];
    expect(response.headers['x-stream-protocol-version']).to.equal('portforward.k8s.io');
    socket.destroy();
  });

  it('refuses protocols that it does not know, and says which it does', async () => {
    await using kubelet = await withSpdy();
    const { status, headers, body } = await refused(
      upgrade(kubelet, ['v9.channel.k8s.io', 'v8.channel.k8s.io']),
    );
    expect(status).to.equal(403);
    expect(headers['x-accepted-stream-protocol-versions']).to.match(/^v4\.channel\.k8s\.io, v3/);
    expect(body).to.equal(
      'unable to upgrade: unable to negotiate protocol: client supports [v9.channel.k8s.io v8.channel.k8s.io], ' +
        'server accepts [v4.channel.k8s.io v3.channel.k8s.io v2.channel.k8s.io channel.k8s.io]\n',
    );
    expect((await refused(upgrade(kubelet, []))).status).to.equal(400);
  });

  it('cuts off a client when what speaks it throws', async () => {
    await using kubelet = await withSpdy(() => {
      throw new Error('not today');
    });
    const [, socket] = (await once(upgrade(kubelet), 'upgrade')) as [IncomingMessage, Duplex];
    socket.on('error', () => undefined).resume();
    if (!socket.closed) await once(socket, 'close');
  });
});
