import { expect } from 'chai';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import tls from 'node:tls';
import { WebSocket } from 'ws';
import { until } from '../support/dialer.js';
import { ClusterStage, POD_ADDRESS } from './cluster-stage.js';

const LOG = '/api/v1/namespaces/shop/pods/cart/log';
const EXEC = '/api/v1/namespaces/shop/pods/cart/exec';

const messageOf = (body: string): string => (JSON.parse(body) as { message: string }).message;

describe('apiserverProxy', () => {
  let stage: ClusterStage;

  beforeEach(async () => {
    stage = await ClusterStage.start();
  });

  afterEach(async () => {
    await stage.end();
  });

  /** Runs a command by WebSocket, and tells what it printed and how it ended. */
  async function exec(query: string, protocol = 'v4.channel.k8s.io', headers = stage.as('admin')) {
    const socket = new WebSocket(`${stage.url.replace('https', 'wss')}${EXEC}?${query}`, protocol, {
      headers,
      ca: stage.apiServer.certificateAuthority,
    });
    const channels: Record<number, string> = {};
    socket.on('message', (data: Buffer) => {
      const [channel = 0] = data;
      channels[channel] = (channels[channel] ?? '') + data.toString('utf8', 1);
    });
    const refused = new Promise<number>((resolve) => {
      socket.on('unexpected-response', (request, response) => {
        request.destroy();
        resolve(response.statusCode ?? 0);
      });
    });
    socket.on('error', () => undefined);
    const status = await Promise.race([refused, once(socket, 'close').then(() => 101)]);
    return { status, channels };
  }

  describe('passes on what needs no node', () => {
    it('to the upstream, in the name of the caller', async () => {
      const { status, body } = await stage.ask('/api/v1/namespaces/shop/pods/cart');
      expect(status).to.equal(200);
      expect(JSON.parse(body)).to.have.nested.property('metadata.name', 'cart');
      expect(stage.apiServer.requests.at(-1)).to.include({ user: 'admin' });
    });

    it('so that a token that the upstream does not know gets its 401', async () => {
      const { status } = await stage.ask('/api/v1/nodes', { headers: { authorization: 'Bearer nonsense' } });
      expect(status).to.equal(401);
    });
  });

  describe('proxies', () => {
    beforeEach(async () => {
      await stage.pod(POD_ADDRESS, 8080, (request, response) => {
        response.end(`${request.method} ${request.url} ${request.headers.authorization ?? 'nobody'}`);
      });
    });

    for (const target of [
      'pods/cart',
      'pods/cart:8080',
      'pods/http:cart:8080',
      'services/web:80',
      'services/web:http',
    ]) {
      it(`${target}, to which no credentials go`, async () => {
        const { status, body } = await stage.ask(`/api/v1/namespaces/shop/${target}/proxy/a/b?c=d`);
        expect({ status, body }).to.deep.equal({ status: 200, body: 'GET /a/b?c=d nobody' });
      });
    }

    it("a node's kubelet, to which the proxy is known by its certificate", async () => {
      const { status, body } = await stage.ask('/api/v1/nodes/node-1/proxy/healthz');
      expect({ status, body }).to.deep.equal({ status: 200, body: 'ok' });
      expect(stage.kubelet.requests.at(-1)).to.include({ user: 'kube-apiserver-kubelet-client' });
    });

    it('AC-12: sends a GET of the subresource itself to the same with a slash', async () => {
      const path = '/api/v1/namespaces/shop/pods/cart/proxy';
      const { status, headers } = await stage.ask(`${path}?method=GET`);
      expect(status).to.equal(301);
      expect(headers.location).to.equal(`${path}/?method=GET`);
      const posted = await stage.ask(`${path}?method=POST`, { method: 'POST' });
      expect(posted).to.include({ status: 200, body: 'POST /?method=POST nobody' });
    });

    it("AC-24: nothing outside of the backend's root", async () => {
      const { body } = await stage.ask('/api/v1/namespaces/shop/pods/cart/proxy/a/../../../b//c/');
      expect(body).to.equal('GET /b/c/ nobody');
    });

    it('AC-4: no pod whose address is not one of a pod', async () => {
      stage.apiServer.put({
        kind: 'Pod',
        metadata: { name: 'sly', namespace: 'shop' },
        spec: { nodeName: 'node-1', containers: [{ name: 'a' }] },
        status: { podIPs: [{ ip: '127.0.0.1' }] },
      });
      const { status, body } = await stage.ask('/api/v1/namespaces/shop/pods/sly:10250/proxy/');
      expect(status).to.equal(400);
      expect(messageOf(body)).to.equal('address not allowed');
    });

    it('AC-17: 503 for a pod that does not answer', async () => {
      const { status, body } = await stage.ask('/api/v1/namespaces/shop/pods/cart:1/proxy/');
      expect(status).to.equal(503);
      expect(messageOf(body)).to.match(/^error trying to reach service: /);
    });

    for (const target of ['pods/cart:1', 'services/gone:80'])
      it(`${target} that cannot be reached after another lookup, in case it has moved`, async () => {
        stage.apiServer.put({
          kind: 'Service',
          metadata: { name: 'gone', namespace: 'shop' },
          spec: { ports: [{ port: 80 }] },
        });
        stage.apiServer.put({
          kind: 'EndpointSlice',
          apiVersion: 'discovery.k8s.io/v1',
          metadata: { name: 'gone', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'gone' } },
          addressType: 'IPv4',
          ports: [{ port: 1 }],
          endpoints: [
            {
              addresses: [POD_ADDRESS],
              conditions: { ready: true },
              targetRef: { kind: 'Pod', name: 'cart', namespace: 'shop' },
            },
          ],
        });
        const lookups = () => stage.apiServer.requests.filter(({ url }) => url.endsWith('/pods/cart')).length;
        expect(await stage.ask(`/api/v1/namespaces/shop/${target}/proxy/`)).to.include({ status: 503 });
        const before = lookups();
        expect(await stage.ask(`/api/v1/namespaces/shop/${target}/proxy/`)).to.include({ status: 503 });
        expect(lookups()).to.be.greaterThan(before);
      });

    it('refuses dryRun', async () => {
      const path = '/api/v1/namespaces/shop/pods/cart/proxy/?dryRun=All';
      expect(await stage.ask(path, { method: 'POST' })).to.include({ status: 400 });
    });
  });

  describe('who may', () => {
    beforeEach(() => {
      stage.apiServer.addUser({ name: 'reader' });
      stage.apiServer.allow({
        subjects: ['reader'],
        verbs: ['get'],
        resources: ['pods', 'pods/log', 'pods/exec'],
      });
      stage.kubelet.container('shop', 'cart', 'app').print('hello');
    });

    it('reads logs who may get pods/log', async () => {
      expect(await stage.ask(LOG, { headers: stage.as('reader') })).to.include({
        status: 200,
        body: 'hello\n',
      });
    });

    it('proxies nowhere who may not, with the 403 of a kube-apiserver', async () => {
      const { status, body } = await stage.ask('/api/v1/nodes/node-1/proxy/healthz', {
        headers: stage.as('reader'),
      });
      expect(status).to.equal(403);
      expect(messageOf(body)).to.contain(
        'nodes "node-1" is forbidden: User "reader" cannot get resource "nodes/proxy"',
      );
      expect(stage.kubelet.requests).to.deep.equal([]);
    });

    it('runs no command by a GET who may only get pods/exec', async () => {
      const { status } = await exec('command=true&stdout=1', undefined, stage.as('reader'));
      expect(status).to.equal(403);
      stage.apiServer.allow({ subjects: ['reader'], verbs: ['create'], resources: ['pods/exec'] });
    });

    it('is nobody without a token', async () => {
      for (const path of [LOG, '/api/v1/nodes/node-1/proxy/', '/api/v1/namespaces/shop/pods/cart/proxy/']) {
        const { status } = await stage.ask(path, { headers: {} });
        expect(status, path).to.be.oneOf([401, 403]);
      }
      expect(stage.kubelet.requests).to.deep.equal([]);
    });

    it('is refused with a head that Node has not read to its end, which may say that it acts as another', async () => {
      const { authorization = '' } = stage.as('admin');
      const filler = Array.from({ length: 1100 }, (_, at): [string, string] => [`x-${at}`, '']);
      const head = (...first: readonly (readonly [string, string])[]): string[] =>
        [...first, ['authorization', authorization], ...filler, ['impersonate-user', 'reader']].flat();
      const upgrade = [
        ['connection', 'upgrade'],
        ['upgrade', 'websocket'],
      ] as const;
      for (const path of ['/version', `${LOG}?tailLines=1`])
        for (const headers of [head(['host', 'x']), head(['host', 'x'], ...upgrade)]) {
          const answer = await stage.ask(path, { headers: headers as never });
          expect(answer.status, path).to.equal(431);
        }
      expect(stage.kubelet.requests).to.be.empty;
    });

    it('AC-23: acts as another only as far as the upstream lets them', async () => {
      const headers = {
        ...stage.as('reader'),
        'impersonate-user': 'admin',
        'impersonate-group': 'system:masters',
      };
      expect(await stage.ask('/api/v1/nodes/node-1/proxy/healthz', { headers })).to.include({ status: 403 });
      const admin = { ...stage.as('admin'), 'impersonate-user': 'reader' };
      expect(await stage.ask('/api/v1/nodes/node-1/proxy/healthz', { headers: admin })).to.include({
        status: 403,
      });
      expect(await stage.ask(LOG, { headers: admin })).to.include({ status: 200 });
    });

    it('looks pods up in the name of callers, if it is told to', async () => {
      await stage.end();
      stage = await ClusterStage.start({ proxy: { lookupsAs: 'caller' } });
      stage.apiServer.addUser({ name: 'logger' });
      stage.apiServer.allow({ subjects: ['logger'], verbs: ['get'], resources: ['pods/log'] });
      const { status, body } = await stage.ask(LOG, { headers: stage.as('logger') });
      expect(status).to.equal(403);
      expect(messageOf(body)).to.contain('pods "cart" is forbidden');
    });
  });

  describe('AC-47: logs', () => {
    it('are followed before the container ends, and break off on no side while they are', async () => {
      const app = stage.kubelet.container('shop', 'cart', 'app');
      app.print('first');
      const log = await stage.begin(`${LOG}?follow=true&tailLines=1`);
      expect(log.headers['content-type']).to.equal('text/plain');
      const [line] = (await once(log, 'data')) as [Buffer];
      expect(line.toString()).to.equal('first\n');
      const rest = text(log);
      app.print('last');
      app.end();
      expect(await rest).to.equal('last\n');
    });

    it('leave nothing open at the kubelet when who follows them has gone', async () => {
      stage.kubelet.container('shop', 'cart', 'app').print('first');
      const log = await stage.begin(`${LOG}?follow=true`);
      await until('the kubelet follows', () => stage.kubelet.open.logs === 1);
      log.on('error', () => undefined).destroy();
      await until('the kubelet does not', () => stage.kubelet.open.logs === 0);
      await until('nothing is under way', () => stage.proxy.underWay === 0);
    });

    it('are asked for one after the other on a connection, and all given up when it is cut', async () => {
      const ca = stage.apiServer.certificateAuthority;
      const { hostname, port } = new URL(stage.url);
      const client = tls.connect({ host: hostname, port: Number(port), ca });
      await once(client, 'secureConnect');
      client.on('error', () => undefined).resume();
      const { authorization = '' } = stage.as('admin');
      const request = `GET ${LOG}?follow=true HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n\r\n`;
      client.write(request.repeat(50));
      stage.kubelet.container('shop', 'cart', 'app').print('hello');
      await until('all have come', () => stage.proxy.underWay === 50);
      await until('one is followed', () => stage.kubelet.open.logs === 1);
      client.destroy();
      await until('nothing is under way', () => stage.proxy.underWay === 0 && stage.kubelet.open.logs === 0);
      expect(stage.kubelet.requests.length).to.equal(1);
    });

    for (const [path, status, message] of [
      [`${LOG}?tailLines=-1`, 422, /must be greater than or equal to 0/],
      [`${LOG}?limitBytes=0`, 422, /must be greater than 0/],
      [`${LOG}?sinceSeconds=0`, 422, /must be greater than 0/],
      ['/api/v1/namespaces/shop/pods/two/log', 400, /for pod two, choose one of: \[a b\]/],
      [`${LOG}?container=x`, 400, /container x is not valid for pod cart/],
      ['/api/v1/namespaces/shop/pods/none/log', 404, /pods "none" not found/],
    ] as const) {
      it(`answer ${status} for ${path}`, async () => {
        const answer = await stage.ask(path);
        expect(answer.status).to.equal(status);
        expect(messageOf(answer.body)).to.match(message);
      });
    }

    it('answer 204 for a pod that has no node yet', async () => {
      const { status, body } = await stage.ask('/api/v1/namespaces/shop/pods/unscheduled/log');
      expect({ status, body }).to.deep.equal({ status: 204, body: '' });
    });
  });

  describe('AC-48: streams', () => {
    it('need a node', async () => {
      const path = '/api/v1/namespaces/shop/pods/unscheduled/exec?command=true&stdout=1';
      const headers = {
        ...stage.as('admin'),
        connection: 'Upgrade',
        upgrade: 'SPDY/3.1',
        'x-stream-protocol-version': 'v4.channel.k8s.io',
      };
      const { status, body } = await stage.ask(path, { method: 'POST', headers });
      expect(status).to.equal(400);
      expect(messageOf(body)).to.equal('pod unscheduled does not have a host assigned');
    });

    it('AC-25: are upgrades', async () => {
      const { status, body } = await stage.ask(`${EXEC}?command=true&stdout=1`, { method: 'POST' });
      expect(status).to.equal(400);
      expect(messageOf(body)).to.equal('Upgrade request required');
    });

    it('run commands, and tell how they ended', async () => {
      const { status, channels } = await exec(
        'command=sh&command=-c&command=echo+hi%3Bexit+42&stdout=1&stderr=1',
      );
      expect(status).to.equal(101);
      expect(channels[1]).to.equal('hi\n');
      expect(channels[3]).to.contain('"reason":"ExitCode"').and.to.contain('"42"');
    });

    it('AC-40: a thousand of them by ten at once, and nothing is left', async function () {
      this.timeout(300_000);
      let left = 1000;
      const failed: number[] = [];
      const work = async (): Promise<void> => {
        while (left > 0) {
          left -= 1;
          const { status, channels } = await exec('command=true&stdout=1');
          if (status !== 101 || !channels[3]?.includes('Success')) failed.push(status);
        }
      };
      await Promise.all(Array.from({ length: 10 }, work));
      expect(failed).to.deep.equal([]);
      await until('nothing is under way', () => stage.proxy.underWay === 0 && stage.kubelet.open.execs === 0);
    });

    it('AC-34: are refused by the kubelet when nothing is to be carried', async () => {
      const { status } = await exec('command=true');
      expect(status).to.equal(400);
    });

    it('answer 500 when the kubelet is down', async () => {
      await stage.kubelet.close();
      const { status } = await exec('command=true&stdout=1');
      expect(status).to.equal(500);
    });
  });

  it('tells of what it has answered, without the query', async () => {
    await stage.end();
    const answered: unknown[] = [];
    stage = await ClusterStage.start({ proxy: { onAnswer: (each) => void answered.push(each) } });
    await stage.ask(`${LOG}?tailLines=1`);
    await until('it is told', () => answered.length === 1);
    expect(answered[0]).to.include({ method: 'GET', path: LOG, status: 200, isUpgrade: false });
    await exec('command=true&stdout=1');
    await until('it is told', () => answered.length === 2);
    expect(answered[1]).to.include({ path: EXEC, status: 101, isUpgrade: true });
  });

  describe('with all places taken', () => {
    beforeEach(async () => {
      await stage.end();
      stage = await ClusterStage.start({ proxy: { maxRequests: 1, maxLongRunning: 1 } });
    });

    it('refuses with 429 what may never end, and answers all else, until one has ended', async () => {
      const app = stage.kubelet.container('shop', 'cart', 'app');
      app.print('first');
      const log = await stage.begin(`${LOG}?follow=true`);
      const { status, headers, body } = await stage.ask('/api/v1/nodes/node-1/proxy/healthz');
      expect(status).to.equal(429);
      expect(headers).to.include({ 'retry-after': '1', 'content-type': 'application/json' });
      expect(JSON.parse(body)).to.deep.include({
        reason: 'TooManyRequests',
        code: 429,
        details: { retryAfterSeconds: 1 },
      });
      expect(await exec('command=true&stdout=1')).to.include({ status: 429 });
      expect(await stage.ask('/api/v1/pods?watch=1')).to.include({ status: 429 });
      expect(await stage.ask('/api/v1/nodes')).to.include({ status: 200 });
      expect(stage.kubelet.requests.length).to.equal(1);
      const rest = text(log);
      app.end();
      await rest;
      await until('nothing is under way', () => stage.proxy.underWay === 0);
      expect(await stage.ask('/api/v1/nodes/node-1/proxy/healthz')).to.include({ status: 200 });
    });

    it('refuses with 429 what the upstream is to answer, and no watch', async () => {
      const { hostname, port } = new URL(stage.url);
      const ca = stage.apiServer.certificateAuthority;
      const client = tls.connect({ host: hostname, port: Number(port), ca });
      client.on('error', () => undefined).resume();
      const { authorization = '' } = stage.as('admin');
      const head = `POST /api/v1/nodes HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nContent-Length: 9\r\n\r\n`;
      client.write(head);
      await until('it is under way', () => stage.proxy.underWay === 1);
      expect(await stage.ask('/api/v1/nodes')).to.include({ status: 429 });
      const watch = await stage.begin('/api/v1/nodes?watch=1');
      expect(watch.statusCode).to.equal(200);
      watch.on('error', () => undefined).destroy();
      client.destroy();
      await until('nothing is under way', () => stage.proxy.underWay === 0);
      expect(await stage.ask('/api/v1/nodes')).to.include({ status: 200 });
    });
  });

  it('refuses what comes after close, and waits for what came before', async () => {
    const app = stage.kubelet.container('shop', 'cart', 'app');
    app.print('first');
    const log = await stage.begin(`${LOG}?follow=true`);
    let isClosed = false;
    const closed = stage.proxy.close().then(() => (isClosed = true));
    expect(await stage.ask(LOG)).to.include({ status: 503 });
    expect(isClosed).to.equal(false);
    const rest = text(log);
    app.end();
    expect(await rest).to.equal('first\n');
    await closed;
  });
});
