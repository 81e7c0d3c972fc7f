import { expect } from 'chai';
import { FRONT_NAME } from '../support/apiserver-front.js';
import { describeFor } from '../support/applicability.js';
import { startConnectProxy } from '../support/connect-proxy.js';
import { until } from '../support/dialer.js';
import { execTransports, kubectlHere, type Kubectl } from '../support/kubectl.js';
import { KubectlStage, WANTED, type KubectlCluster } from './kubectl-stage.js';

/** A kubectl that goes another way than straight to the proxy. */
interface Way {
  readonly kubectl: Kubectl;
  readonly environment: NodeJS.ProcessEnv;
  /** Whether the way was gone. */
  readonly isUsed: () => boolean;
}

describeFor(kubectlHere, 'kubectl exec through the apiserver proxy by other ways', () => {
  describe('of this machine', function () {
    this.timeout(120_000);
    const stage = new KubectlStage();
    afterEach(() => stage.end());

    async function byKubectlProxy({ kubectl, apiServer }: KubectlCluster): Promise<Way> {
      // Without it, exec and attach are refused.
      const proxying = stage.running(kubectl, ['proxy', '--port=0', '--disable-filter']);
      const [, port] = await proxying.until(/Starting to serve on 127\.0\.0\.1:(\d+)/);
      const config = {
        ...(JSON.parse(apiServer.kubeconfig('admin')) as object),
        clusters: [{ name: 'fake', cluster: { server: `http://127.0.0.1:${port}` } }],
        users: [{ name: 'admin', user: {} }],
      };
      return { kubectl: await stage.kubectl(JSON.stringify(config)), environment: {}, isUsed: () => true };
    }

    async function byConnectProxy({ apiServer, url }: KubectlCluster): Promise<Way> {
      const proxy = await stage.use(startConnectProxy());
      // Go asks no proxy for a loopback address (golang.org/x/net/http/httpproxy, useProxy).
      const server = url.replace('127.0.0.1', FRONT_NAME);
      const kubectl = await stage.kubectl(apiServer.kubeconfig('admin', server));
      const { host } = new URL(server);
      const isUsed = () => proxy.asked.length > 0 && proxy.asked.every((asked) => asked === host);
      return { kubectl, environment: { HTTPS_PROXY: proxy.url }, isUsed };
    }

    for (const [name, go] of [
      ['kubectl proxy', byKubectlProxy],
      ['an HTTP CONNECT proxy', byConnectProxy],
    ] as const) {
      for (const { transport, method, environment, needs } of execTransports()) {
        describeFor(needs, `by ${transport}`, () => {
          it(`AC-37: exec through ${name} echoes stdin, and ends with the exit code`, async () => {
            const cluster = await stage.start();
            const way = await go(cluster);
            const result = await way.kubectl.run(
              [...WANTED, 'exec', '-i', 'cart', '--', 'sh', '-c', 'cat; echo err >&2; exit 42'],
              'value\nabcd1234',
              { ...way.environment, ...environment },
            );
            expect(result).to.include({ code: 42, stdout: 'value\nabcd1234' });
            expect(result.stderr).to.contain('err\n');
            expect(way.isUsed()).to.equal(true);
            await until('the end of the stream', () => cluster.answered('exec').length > 0);
            expect(cluster.answered('exec')).to.deep.equal([`${method} 101`]);
          });
        });
      }
    }
  });
});
