import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { KubeletRequest } from '../../lib/testing/index.js';
import { describeFor } from '../support/applicability.js';
import { readAll, until } from '../support/dialer.js';
import { startEcho } from '../support/endpoints.js';
import { kubectlSince } from '../support/kubectl.js';
import { startRelayingFront } from '../support/relaying-front.js';
import { KubectlStage, WANTED } from './kubectl-stage.js';

/** A kubelet before 1.36, and nothing that translates for it: what it refuses, kubectl is told, and tries otherwise. */
const OLD = { protocols: ['v4'] } as const;

/** What the kubelet was asked for, and by which protocol. */
const askedBy = ({ method, url, headers }: KubeletRequest): string =>
  `${method} ${url.replace(/^\/(\w+).*/, '$1')} ${headers.upgrade ?? ''}`;

describeFor(kubectlSince(31), 'kubectl through a proxy that relays and does not translate', () => {
  describe('of this machine', function () {
    this.timeout(120_000);
    const stage = new KubectlStage();
    afterEach(() => stage.end());

    it('AC-32: exec is refused v5.channel.k8s.io with 403, and succeeds by SPDY', async () => {
      const { kubectl, kubelet, answered } = await stage.start(OLD, startRelayingFront);
      const command = ['sh', '-c', 'cat; echo err >&2; exit 42'];
      const result = await kubectl.run([...WANTED, 'exec', '-i', 'cart', '--', ...command], 'value');
      expect(result).to.include({ code: 42, stdout: 'value' });
      expect(result.stderr).to.contain('err\n');
      expect(kubelet.requests.map(askedBy)).to.deep.equal(['GET exec websocket', 'POST exec SPDY/3.1']);
      const [first] = kubelet.requests;
      expect(first?.headers['sec-websocket-protocol']).to.equal('v5.channel.k8s.io');
      expect(answered('exec')).to.deep.equal(['GET 403', 'POST 101']);
    });

    it('AC-33: port-forward is refused SPDY in a WebSocket with 400, and succeeds by SPDY', async () => {
      const { kubectl, kubelet, answered } = await stage.start(OLD, startRelayingFront);
      const echo = await stage.use(startEcho());
      const port = await stage.forward(kubectl, echo.port);
      const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      const sent = randomBytes(1024 * 1024);
      client.end(sent);
      const received = await readAll(client);
      expect(received.equals(sent)).to.equal(true);
      await until('the answers', () => answered('portforward').length === 2);
      expect(answered('portforward')).to.deep.equal(['GET 400', 'POST 101']);
      expect(kubelet.requests.map(askedBy)).to.deep.equal([
        'GET portForward websocket',
        'POST portForward SPDY/3.1',
      ]);
      const [first] = kubelet.requests;
      expect(first?.headers['sec-websocket-protocol']).to.equal('SPDY/3.1+portforward.k8s.io');
    });
  });

  describe('and one that does', function () {
    this.timeout(120_000);
    const stage = new KubectlStage();
    afterEach(() => stage.end());

    it('AC-32, AC-33: needs no second try', async () => {
      const { kubectl, kubelet, answered } = await stage.start(OLD);
      expect(await kubectl.run([...WANTED, 'exec', 'cart', '--', 'true'])).to.include({ code: 0 });
      const echo = await stage.use(startEcho());
      const port = await stage.forward(kubectl, echo.port);
      const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      const sent = randomBytes(1024 * 1024);
      client.end(sent);
      expect((await readAll(client)).equals(sent)).to.equal(true);
      if (!client.closed) await once(client, 'close');
      expect(kubelet.requests.map(askedBy)).to.deep.equal([
        'POST exec SPDY/3.1',
        'POST portForward SPDY/3.1',
      ]);
      await until('the end of the exec', () => answered('exec').length > 0);
      expect(answered('exec')).to.deep.equal(['GET 101']);
    });
  });
});
