import { expect } from 'chai';
import { describeFor } from '../support/applicability.js';
import { Kubectl, kubectlHere } from '../support/kubectl.js';
import { ClusterStage, POD_ADDRESS } from './cluster-stage.js';

/** Addresses of this machine alone are proxied to nowhere: the node of this stage knows others. */
describeFor(kubectlHere, 'kubectl get --raw through the apiserver proxy', () => {
  describe('of this machine', function () {
    this.timeout(60_000);
    let stage: ClusterStage;
    let kubectl: Kubectl;

    beforeEach(async () => {
      stage = await ClusterStage.start();
      kubectl = await Kubectl.create(stage.apiServer.kubeconfig('admin', stage.url));
      stage.onEnd(() => kubectl[Symbol.asyncDispose]());
    });
    afterEach(() => stage.end());

    const raw = (path: string) => kubectl.run(['get', '--raw', path]);

    for (const target of ['node-1', 'node-1:10250', 'https:node-1:10250']) {
      it(`reads through the proxy of ${target}`, async () => {
        const prefix = `/api/v1/nodes/${target}/proxy`;
        expect(await raw(`${prefix}/healthz`)).to.include({ code: 0, stdout: 'ok' });
        expect((await raw(`${prefix}/pods`)).stdout).to.contain('"name":"cart"');
        // Relative links need no prefix.
        expect((await raw(`${prefix}/logs/`)).stdout).to.contain('<a href="pods/">');
        expect((await raw(`${prefix}/no/such`)).stderr).to.contain('(NotFound)');
      });
    }

    for (const target of ['pods/cart', 'pods/cart:8080', 'services/web:http', 'services/web:80']) {
      const prefix = `/api/v1/namespaces/shop/${target}/proxy`;

      it(`reads through the proxy of ${target}, where links lead back to it`, async () => {
        await stage.pod(POD_ADDRESS, 8080, ({ url, headers }, response) => {
          response.setHeader('content-type', 'text/html');
          response.end(`${url} for ${headers.authorization ?? 'nobody'} <a href="/rewriteme">test</a>`);
        });
        const { code, stdout } = await raw(`${prefix}/a/b?c=d`);
        expect(code).to.equal(0);
        expect(stdout).to.equal(`/a/b?c=d for nobody <a href="${prefix}/rewriteme">test</a>`);
      });
    }

    it('says what is wrong with a backend', async () => {
      const { code, stderr } = await raw('/api/v1/namespaces/shop/pods/cart/proxy/');
      expect(code).to.equal(1);
      expect(stderr).to.contain('(ServiceUnavailable)').and.to.contain('error trying to reach service');
      // Its only port has a name.
      const nameless = await raw('/api/v1/namespaces/shop/services/web/proxy/');
      expect(nameless.stderr).to.contain('no endpoints available for service "web"');
    });
  });
});
