import { expect } from 'chai';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { createAuthority } from '../../../lib/testing/index.js';
import { ClusterStage, type Answer } from '../cluster-stage.js';

const ADDRESS = '10.2.0.9';
const PODS = '/api/v1/namespaces/shop/pods';
const SERVICES = '/api/v1/namespaces/shop/services';

const HTTP_PORTS = { 1080: '<a href="/rewriteme">test</a>', 160: 'foo', 162: 'bar' };
const HTTPS_PORTS = { 443: '<a href="/tlsrewriteme">test</a>', 460: 'tls baz', 462: 'tls qux' };

/** Ports of the service, and the pod's that are behind them. */
const SERVICE_PORTS = [
  { name: 'portname1', port: 80, targetPort: 160 },
  { name: 'portname2', port: 81, targetPort: 162 },
  { name: 'tlsportname1', port: 443, targetPort: 460 },
  { name: 'tlsportname2', port: 444, targetPort: 462 },
];

const page =
  (body: string): RequestListener =>
  (_request, response) =>
    void response.setHeader('content-type', body.startsWith('<') ? 'text/html' : 'text/plain').end(body);

describe('apiserverProxy: plain requests through all of it', () => {
  let stage: ClusterStage;

  beforeEach(async () => {
    stage = await ClusterStage.start();
  });

  afterEach(async () => {
    await stage.end();
  });

  /** A port of a pod that speaks TLS, with a certificate that nobody knows. */
  async function tlsPod(port: number, listener: RequestListener): Promise<void> {
    const own = createAuthority('of-the-pod').issue({ commonName: 'pod', altNames: ['pod.example'] });
    const server = https.createServer({ cert: own.certificate, key: own.privateKey }, listener);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    stage.podPorts.set(`${ADDRESS}:${port}`, (server.address() as AddressInfo).port);
    stage.onEnd(() => {
      server.close();
      server.closeAllConnections();
    });
  }

  /** The pod and the service of Kubernetes' own test (test/e2e/network/proxy.go). */
  function putObjects(): void {
    stage.apiServer.put({
      kind: 'Pod',
      metadata: { name: 'proxied', namespace: 'shop' },
      spec: { nodeName: 'node-1', containers: [{ name: 'web', ports: [{ containerPort: 1080 }] }] },
      status: { podIPs: [{ ip: ADDRESS }] },
    });
    stage.apiServer.put({
      kind: 'Service',
      metadata: { name: 'proxied', namespace: 'shop' },
      spec: { ports: SERVICE_PORTS },
    });
    stage.apiServer.put({
      kind: 'EndpointSlice',
      apiVersion: 'discovery.k8s.io/v1',
      metadata: {
        name: 'proxied-1',
        namespace: 'shop',
        labels: { 'kubernetes.io/service-name': 'proxied' },
      },
      addressType: 'IPv4',
      ports: SERVICE_PORTS.map(({ name, targetPort }) => ({ name, port: targetPort })),
      endpoints: [
        {
          addresses: [ADDRESS],
          conditions: { ready: true },
          targetRef: { kind: 'Pod', name: 'proxied', namespace: 'shop' },
        },
      ],
    });
  }

  it("AC-8: a kubelet's logs, by either spelling of the node, 20 times each", async () => {
    for (const node of ['node-1:10250', 'node-1']) {
      const path = `/api/v1/nodes/${node}/proxy/logs/`;
      const answers = await Promise.all(Array.from({ length: 20 }, () => stage.ask(path)));
      for (const { status, headers, body } of answers) {
        expect(status, body).to.equal(200);
        expect(headers['content-type']).to.match(/^text\/html/);
        // As the kubelet has written it: links that are relative lead there as they are.
        expect(body).to.contain('<a href="containers/">containers/</a>');
      }
    }
    expect(stage.kubelet.requests.map(({ url }) => url)).to.deep.equal(Array(40).fill('/logs/'));
  });

  it('AC-9, AC-10: every port of a pod and a service by its name, 16 paths 20 times at once', async () => {
    putObjects();
    for (const [port, body] of Object.entries(HTTP_PORTS)) await stage.pod(ADDRESS, Number(port), page(body));
    for (const [port, body] of Object.entries(HTTPS_PORTS)) await tlsPod(Number(port), page(body));
    const link = (target: string, to: string): string => `<a href="${PODS}/${target}/proxy/${to}">test</a>`;
    const expected: Record<string, string> = {
      [`${SERVICES}/proxied:portname1`]: 'foo',
      [`${SERVICES}/http:proxied:portname1`]: 'foo',
      [`${SERVICES}/proxied:portname2`]: 'bar',
      [`${SERVICES}/http:proxied:portname2`]: 'bar',
      [`${SERVICES}/https:proxied:tlsportname1`]: 'tls baz',
      [`${SERVICES}/https:proxied:tlsportname2`]: 'tls qux',
      [`${PODS}/proxied`]: link('proxied', 'rewriteme'),
      [`${PODS}/proxied:1080`]: link('proxied:1080', 'rewriteme'),
      [`${PODS}/http:proxied:1080`]: link('http:proxied:1080', 'rewriteme'),
      [`${PODS}/https:proxied:443`]: link('https:proxied:443', 'tlsrewriteme'),
      [`${PODS}/proxied:160`]: 'foo',
      [`${PODS}/http:proxied:160`]: 'foo',
      [`${PODS}/proxied:162`]: 'bar',
      [`${PODS}/http:proxied:162`]: 'bar',
      [`${PODS}/https:proxied:460`]: 'tls baz',
      [`${PODS}/https:proxied:462`]: 'tls qux',
    };
    const asked: Promise<readonly [string, Answer]>[] = [];
    for (let round = 0; round < 20; round += 1)
      for (const path of Object.keys(expected))
        asked.push(stage.ask(`${path}/proxy/`).then((answer) => [path, answer] as const));
    expect(asked).to.have.length(320);
    for (const [path, { status, body }] of await Promise.all(asked))
      expect({ path, status, body }).to.deep.equal({ path, status: 200, body: expected[path] });
  });

  it('AC-11: a method reaches a pod and a service as itself, at the path that it is for', async () => {
    putObjects();
    const seen: string[] = [];
    await stage.pod(ADDRESS, 160, (request, response) => {
      seen.push(`${request.method} ${request.url}`);
      request.resume().once('end', () => response.end(request.method));
    });
    for (const target of [`${PODS}/proxied:160`, `${SERVICES}/proxied:80`]) {
      for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']) {
        const rest = `/some/path/with/${method}`;
        const { status, body } = await stage.ask(`${target}/proxy${rest}`, { method });
        expect({ status, body }, method).to.deep.equal({
          status: 200,
          body: method === 'HEAD' ? '' : method,
        });
        expect(seen.splice(0), target).to.deep.equal([`${method} ${rest}`]);
      }
    }
  });

  for (const subresource of ['exec?command=true&stdout=1', 'attach?stdout=1', 'portforward?ports=80']) {
    for (const method of ['GET', 'POST']) {
      it(`AC-25: a ${method} of ${subresource} that is no upgrade is a bad request, and reaches no kubelet`, async () => {
        const { status, body } = await stage.ask(`${PODS}/cart/${subresource}`, { method });
        expect(status).to.equal(400);
        expect(JSON.parse(body)).to.include({
          kind: 'Status',
          reason: 'BadRequest',
          message: 'Upgrade request required',
        });
        expect(stage.kubelet.requests).to.deep.equal([]);
      });
    }
  }
});
