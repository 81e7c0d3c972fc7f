import { expect } from 'chai';
import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import sinon from 'sinon';
import { SERVER_OPTIONS } from '../../../lib/apiserver/index.js';
import { until } from '../../support/dialer.js';
import { ClusterStage, type ClusterOptions } from '../cluster-stage.js';
import { putKubelet, upgrade, upgradeToSpdy, Wire, type Refused, type Upgraded } from './wire.js';

const POD = '/api/v1/namespaces/shop/pods/cart';
const UNSCHEDULED = '/api/v1/namespaces/shop/pods/unscheduled';
const [V1, V4, V5] = ['channel.k8s.io', 'v4.channel.k8s.io', 'v5.channel.k8s.io'];

/** What runs in the pod answers what it is told, as does the command that is run there. */
const CLUSTER: ClusterOptions = {
  kubelet: {
    protocols: ['v4'],
    pods: [{ namespace: 'shop', name: 'cart', containers: [{ name: 'app', command: ['cat'] }] }],
  },
};

function refusalOf(answer: Upgraded): Refused {
  if ('status' in answer) return answer;
  throw new Error('it was upgraded');
}

describe('apiserverProxy: exec and attach through all of it', () => {
  let stage: ClusterStage;

  beforeEach(async () => {
    stage = await ClusterStage.start(CLUSTER);
  });

  afterEach(async () => {
    await stage.end();
  });

  describe('AC-34', () => {
    for (const kind of ['exec?command=cat', 'attach?']) {
      it(`${kind} that asks for no stream is refused by the kubelet, whatever it is asked in`, async () => {
        const path = `${POD}/${kind}`;
        for (const protocol of [V1, V4, V5]) {
          const { status, body } = await new Wire(stage, path, protocol).refused();
          expect(status, protocol).to.equal(400);
          expect(body).to.contain('you must specify at least 1 of stdin, stdout, stderr');
        }
        expect(refusalOf(await upgradeToSpdy(stage, path, V4)).status).to.equal(400);
      });

      for (const protocol of [V4, V5]) {
        it(`${kind} over ${protocol} stays while it is idle, for hours`, async () => {
          // The connection to the node is there, and what watches over it keeps its own time.
          await stage.ask('/api/v1/nodes/node-1/proxy/healthz');
          const { certificate: cert, privateKey: key } = stage.apiServer.servingCertificate('127.0.0.1');
          const front = https.createServer({ cert, key, ...SERVER_OPTIONS }, stage.proxy.request);
          const upgraded: Socket[] = [];
          front.on('upgrade', (request, socket, head) => {
            upgraded.push(request.socket);
            stage.proxy.upgrade(request, socket, head);
          });
          front.timeout = 60_000;
          front.listen(0, '127.0.0.1');
          await once(front, 'listening');
          stage.onEnd(() => front.close());
          const { port } = front.address() as AddressInfo;
          const clock = sinon.useFakeTimers({
            toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
          });
          try {
            const url = `https://127.0.0.1:${port}`;
            const path = `${POD}/${kind}&stdin=true&stdout=true`;
            const wire = await new Wire(stage, path, protocol, { url }).opened();
            wire.send(0, 'first');
            await until('an echo', () => wire.text(1) === 'first');
            // The limit that a server has for idle connections is none of a stream's.
            expect(upgraded.map(({ timeout }) => timeout)).to.deep.equal([0]);
            // Every timer that was set for the stream.
            clock.tick(5 * 3600 * 1000);
            wire.send(0, ' last');
            await until('an echo', () => wire.text(1) === 'first last');
            wire.socket.terminate();
            await until('the end', () => stage.proxy.underWay === 0);
          } finally {
            clock.restore();
          }
        });
      }
    }
  });

  it('AC-35: exec over channel.k8s.io gives binary messages, the first byte of which is 1', async () => {
    const command = ['echo', 'remote execution test'].map((word) => `command=${encodeURIComponent(word)}`);
    const wire = new Wire(stage, `${POD}/exec?${command.join('&')}&stdout=1&stderr=1`, V1);
    expect(await wire.closed).to.equal(1000);
    expect(wire.protocol).to.equal(V1);
    const said = wire.messages.filter(({ bytes }) => bytes.length > 1);
    expect(said).to.have.length(1);
    expect(said[0]).to.deep.equal({ bytes: Buffer.from('\x01remote execution test\n'), isBinary: true });
    expect(wire.messages.every(({ isBinary }) => isBinary)).to.equal(true);
  });

  describe('AC-48', () => {
    for (const kind of ['exec?command=true&stdout=1', 'attach?stdout=1']) {
      it(`${kind} of a pod that has no node is a bad request`, async () => {
        const path = `${UNSCHEDULED}/${kind}`;
        const answers = [
          refusalOf(await upgradeToSpdy(stage, path, V4)),
          await new Wire(stage, path, V4).refused(),
          await new Wire(stage, path, V5).refused(),
        ];
        for (const { status, body } of answers) {
          expect(status).to.equal(400);
          expect(JSON.parse(body)).to.include({
            reason: 'BadRequest',
            message: 'pod unscheduled does not have a host assigned',
          });
        }
      });
    }

    const EXEC = `${POD}/exec?command=true&stdout=1`;

    /** Every way to ask for an exec. */
    const refusals = async (path: string): Promise<readonly Refused[]> => [
      refusalOf(await upgradeToSpdy(stage, path, V4)),
      await new Wire(stage, path, V4).refused(),
      await new Wire(stage, path, V5).refused(),
    ];

    it('the 401 of a kubelet that does not know the proxy is passed on, with its body', async () => {
      await stage.end();
      stage = await ClusterStage.start({ ...CLUSTER, proxy: { kubelet: { insecureSkipTLSVerify: true } } });
      for (const { status, body } of await refusals(EXEC))
        expect({ status, body }).to.deep.equal({ status: 401, body: 'Unauthorized\n' });
      expect(stage.kubelet.requests.map(({ user }) => user)).to.deep.equal([undefined, undefined, undefined]);
    });

    it('the 403 of a kubelet that does not let the proxy is passed on, with its body', async () => {
      await stage.end();
      stage = await ClusterStage.start({ ...CLUSTER, proxy: { kubelet: { insecureSkipTLSVerify: true } } });
      const words = 'Forbidden (user=proxy, verb=create, resource=nodes, subresource=proxy)';
      await putKubelet(stage, (_request, answer) => answer('403 Forbidden', words));
      for (const refused of await refusals(EXEC)) expect(refused).to.deep.equal({ status: 403, body: words });
    });

    it('a kubelet that is down is an error of dialling', async () => {
      await stage.kubelet.close();
      for (const { status, body } of await refusals(EXEC)) {
        expect(status).to.equal(500);
        const { message } = JSON.parse(body) as { message: string };
        expect(message).to.match(/^error dialing backend: .*10\.1\.0\.1/);
      }
    });
  });

  describe('what asks for v5.channel.k8s.io, or a tunnel, and is no WebSocket', () => {
    const WEB_SOCKET = {
      method: 'GET',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    };
    for (const [what, path, protocol] of [
      ['exec', `${POD}/exec?command=true&stdout=1`, V5],
      ['port-forward', `${POD}/portforward`, 'SPDY/3.1+portforward.k8s.io'],
    ] as const) {
      for (const [how, differing] of [
        ['of another version', { 'sec-websocket-version': '12' }],
        ['without a key', { 'sec-websocket-key': '' }],
        ['with a key of another length', { 'sec-websocket-key': 'dGhlIHNhbXBsZQ==' }],
        ['that upgrades to a list', { upgrade: 'websocket, chat' }],
        ['that upgrades to another', { upgrade: 'SPDY/3.1' }],
        ['by POST', { method: 'POST' }],
      ] as const) {
        it(`is refused before the kubelet is asked: ${what} ${how}`, async () => {
          const fields = { ...WEB_SOCKET, 'sec-websocket-protocol': protocol, ...differing };
          const { status, body } = refusalOf(await upgrade(stage, path, fields));
          expect(status).to.equal(400);
          expect(JSON.parse(body)).to.have.property('kind', 'Status');
          expect(stage.kubelet.requests).to.deep.equal([]);
        });
      }
    }
  });
});
