import { expect } from 'chai';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { ReviewedAccess } from '../../lib/apiserver/access/reviewed-access.js';
import { passThrough } from '../../lib/apiserver/pass-through.js';
import { asStatusError, sendStatus } from '../../lib/apiserver/send-status.js';
import { UpstreamClient } from '../../lib/apiserver/upstream/upstream-client.js';
import { startApiServer, type ApiServer } from '../../lib/testing/index.js';
import { startFront, type Front } from '../support/apiserver-front.js';
import { describeFor } from '../support/applicability.js';
import { Kubectl, kubectlHere } from '../support/kubectl.js';

const pod = (name: string) => ({
  kind: 'Pod',
  metadata: { name },
  spec: { nodeName: 'node-1', containers: [] },
});

describeFor(kubectlHere, 'apiserver: the real kubectl in front of what is passed through', () => {
  let server: ApiServer;
  let upstream: UpstreamClient;
  let front: Front;

  beforeEach(async () => {
    server = await startApiServer({
      users: [{ name: 'alice' }, { name: 'proxy' }],
      rules: [
        {
          subjects: ['alice'],
          verbs: ['get', 'list', 'watch'],
          resources: ['pods'],
          namespaces: ['default'],
        },
        {
          subjects: ['proxy'],
          verbs: ['impersonate'],
          resources: ['users', 'groups'],
          names: ['alice', 'devs'],
        },
      ],
      objects: [pod('web')],
    });
    const ca = server.certificateAuthority;
    upstream = new UpstreamClient({
      server: server.url,
      certificateAuthority: ca,
      token: server.tokenOf('proxy'),
    });
    const access = new ReviewedAccess({ upstream, clientCertificateAuthority: ca });
    front = await startFront(server, {
      request: (request, response) => {
        const answer = async (): Promise<void> => {
          const caller = await access.authenticate(request);
          await passThrough({ exchange: { request, response }, caller, upstream });
        };
        answer().catch((error: unknown) => sendStatus({ request, response }, asStatusError(error)));
      },
    });
  });

  afterEach(async () => {
    await front.close();
    upstream.close();
    await server.close();
  });

  it('sees with a token what its user may see, and is refused the rest', async () => {
    await using kubectl = await Kubectl.create(server.kubeconfig('alice', front.url));
    expect((await kubectl.run(['get', 'pods', '--output=name'])).stdout).to.equal('pod/web\n');
    const refused = await kubectl.run(['get', 'nodes']);
    expect(refused.code).to.equal(1);
    expect(refused.stderr).to.contain('User "alice" cannot list resource "nodes"');
    expect(new Set(server.requests.map(({ as }) => as))).to.deep.equal(new Set(['alice']));
  });

  it('is with a client certificate whom that is for', async () => {
    const { certificate, privateKey } = server.clientCertificate('alice', 'devs');
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const user = { 'client-certificate-data': base64(certificate), 'client-key-data': base64(privateKey) };
    const config = {
      ...(JSON.parse(server.kubeconfig('alice', front.url)) as object),
      users: [{ name: 'alice', user }],
    };
    await using kubectl = await Kubectl.create(JSON.stringify(config));
    expect((await kubectl.run(['get', 'pods', '--output=name'])).stdout).to.equal('pod/web\n');
    expect(server.requests.at(-1)).to.include({ user: 'proxy', as: 'alice' });
    const { stderr } = await kubectl.run(['get', 'pods', '--as=admin']);
    expect(stderr).to.contain('use a token for that');
  });

  it('watches', async () => {
    await using kubectl = await Kubectl.create(server.kubeconfig('alice', front.url));
    const args = ['get', 'pods', '--watch', '--output=name'];
    const watching = spawn(Kubectl.path ?? '', args, { env: kubectl.environment });
    const lines = createInterface({ input: watching.stdout })[Symbol.asyncIterator]();
    expect(await lines.next()).to.deep.include({ value: 'pod/web' });
    server.put(pod('late'));
    expect(await lines.next()).to.deep.include({ value: 'pod/late' });
    watching.kill();
    await once(watching, 'close');
  });
});
