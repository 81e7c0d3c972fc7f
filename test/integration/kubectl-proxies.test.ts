import { expect } from 'chai';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { startApiServer, startKubelet } from '../../lib/testing/index.js';
import { describeFor } from '../support/applicability.js';
import { startProxyFront } from '../support/apiserver-front.js';
import { kubectlHere, type Kubectl } from '../support/kubectl.js';
import { KubectlStage } from './kubectl-stage.js';
import { NODE, nodeOf } from './stage.js';

/** Of the node, and of the pods in its network. Nobody has it: dials to it arrive where the node's own endpoints are. */
const ADDRESS = '10.0.0.11';

describeFor(kubectlHere, 'kubectl get --raw through the apiserver proxy and a real sshd', () => {
  describe('of this machine', function () {
    this.timeout(60_000);
    const stage = new KubectlStage();
    let kubectl: Kubectl;
    let port: number;

    before(async () => {
      const sshd = await stage.sshd();
      const { listenHost, endpointHost } = sshd;
      const kubelet = await stage.use(
        startKubelet({ nodeName: NODE, host: listenHost, altNames: [ADDRESS], pods: [] }),
      );
      const pod = http.createServer(({ url }, response) => {
        response.setHeader('content-type', 'text/html');
        response.end(`${url} <a href="/rewriteme">test</a>`);
      });
      pod.listen(0, listenHost);
      await once(pod, 'listening');
      stage.onEnd(() => pod.close());
      ({ port } = pod.address() as AddressInfo);
      const labels = { 'kubernetes.io/service-name': 'web' };
      const targetRef = { kind: 'Pod', namespace: 'shop', name: 'cart' };
      const apiServer = await stage.use(
        startApiServer({
          objects: [
            {
              kind: 'Node',
              metadata: { name: NODE },
              status: {
                addresses: [{ type: 'InternalIP', address: ADDRESS }],
                daemonEndpoints: { kubeletEndpoint: { Port: kubelet.port } },
              },
            },
            {
              kind: 'Pod',
              metadata: { name: 'cart', namespace: 'shop' },
              spec: {
                nodeName: NODE,
                containers: [{ name: 'app', ports: [{ containerPort: port }] }],
              },
              status: { podIP: ADDRESS, podIPs: [{ ip: ADDRESS }] },
            },
            {
              kind: 'Service',
              metadata: { name: 'web', namespace: 'shop' },
              spec: { ports: [{ name: 'http', port: 80 }] },
            },
            {
              kind: 'EndpointSlice',
              metadata: { name: 'web-1', namespace: 'shop', labels },
              addressType: 'IPv4',
              endpoints: [{ addresses: [ADDRESS], conditions: { ready: true }, targetRef }],
              ports: [{ name: 'http', port }],
            },
          ],
        }),
      );
      const dialer = stage.dialer(sshd, {
        nodes: [nodeOf(sshd, { addresses: [ADDRESS], selfAddress: endpointHost })],
      });
      const { url } = await stage.use(startProxyFront(dialer, { apiServer, kubelet }));
      kubectl = await stage.kubectl(apiServer.kubeconfig('admin', url));
    });
    after(() => stage.end());

    it('reads from a kubelet', async () => {
      const read = await kubectl.run(['get', '--raw', `/api/v1/nodes/${NODE}/proxy/healthz`]);
      expect(read).to.include({ code: 0, stdout: 'ok' });
    });

    for (const target of ['pods/cart', 'services/web:http', 'services/web:80', 'services/http:web:80']) {
      it(`reads from ${target}, whose links lead back to it`, async () => {
        const prefix = `/api/v1/namespaces/shop/${target}/proxy`;
        const read = await kubectl.run(['get', '--raw', `${prefix}/a?b=c`]);
        expect(read).to.include({ code: 0, stdout: `/a?b=c <a href="${prefix}/rewriteme">test</a>` });
      });
    }

    it('reads from a pod by the port in its name', async () => {
      const path = `/api/v1/namespaces/shop/pods/http:cart:${port}/proxy/`;
      expect((await kubectl.run(['get', '--raw', path])).stdout).to.match(/^\/ <a href/);
    });
  });
});
