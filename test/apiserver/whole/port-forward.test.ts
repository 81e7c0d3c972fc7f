import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { echo, readAll, until } from '../../support/dialer.js';
import { ClusterStage } from '../cluster-stage.js';
import { openStream, putKubelet, upgradeToSpdy, Wire } from './wire.js';

const PORT_FORWARD = '/api/v1/namespaces/shop/pods/cart/portforward';
const TUNNEL = 'SPDY/3.1+portforward.k8s.io';
const V4 = 'v4.channel.k8s.io';

const LE = (port: number): Buffer => Buffer.of(port & 0xff, port >> 8);

describe('apiserverProxy: port-forwards through all of it', () => {
  let stage: ClusterStage;

  beforeEach(async () => {
    stage = await ClusterStage.start();
  });

  afterEach(async () => {
    await stage.end();
  });

  describe('AC-33: SPDY in a WebSocket', () => {
    it('carries 1 MiB to an endpoint and back unchanged, ends each direction alone, and leaves nothing', async () => {
      const { port } = await stage.endpoint(echo);
      const wire = await new Wire(stage, PORT_FORWARD, TUNNEL).opened();
      expect(wire.protocol).to.equal(TUNNEL);
      const session = wire.spdy();
      const headers = { port: String(port), requestid: '0' };
      const error = await openStream(session, { streamtype: 'error', ...headers });
      error.end();
      const problem = readAll(error);
      const data = await openStream(session, { streamtype: 'data', ...headers });
      const sent = randomBytes(2 ** 20);
      const got = readAll(data);
      data.end(sent);
      expect((await got).equals(sent)).to.equal(true);
      expect(String(await problem)).to.equal('');
      session.destroy();
      await wire.closed;
      await until('the end', () => stage.proxy.underWay === 0 && stage.kubelet.open.portForwards === 0);
      // It is SPDY that the kubelet was asked for, by nobody's WebSocket.
      const { method, url, headers: asked } = stage.kubelet.requests.at(-1) ?? { headers: {} };
      expect({ method, url }).to.deep.equal({ method: 'POST', url: '/portForward/shop/cart' });
      expect(asked).to.include({ upgrade: 'SPDY/3.1', 'x-stream-protocol-version': 'portforward.k8s.io' });
      expect(Object.keys(asked).filter((name) => name.startsWith('sec-websocket'))).to.deep.equal([]);
    });

    it('tells on the stream that nobody listens, and goes on', async () => {
      const { port } = await stage.endpoint(echo);
      const session = (await new Wire(stage, PORT_FORWARD, TUNNEL).opened()).spdy();
      const nobody = createServer().listen(0, '127.0.0.1');
      await until('a port', () => nobody.listening);
      const { port: closed } = nobody.address() as { port: number };
      await new Promise((resolve) => nobody.close(resolve));
      const open = async (id: string, to: number) => {
        const headers = { port: String(to), requestid: id };
        const error = await openStream(session, { streamtype: 'error', ...headers });
        return { error, data: await openStream(session, { streamtype: 'data', ...headers }) };
      };
      const first = await open('0', closed);
      expect(String(await readAll(first.error))).to.contain('connection refused');
      const { data } = await open('1', port);
      data.end('still there');
      expect(String(await readAll(data))).to.equal('still there');
      session.destroy();
      await session.closed;
    });

    for (const [what, message, code] of [
      ['a message of more than 1 MiB', Buffer.alloc(2 ** 20 + 1), 1009],
      ['text', 'SPDY', 1006],
    ] as const) {
      it(`ends by ${what}, at the kubelet, too`, async () => {
        const wire = await new Wire(stage, PORT_FORWARD, TUNNEL).opened();
        await until('the kubelet', () => stage.kubelet.open.portForwards === 1);
        wire.socket.send(message);
        expect(await wire.closed).to.equal(code);
        await until('the end', () => stage.proxy.underWay === 0 && stage.kubelet.open.portForwards === 0);
      });
    }

    it('is a 400 where there is no tunnelling subprotocol, and no port either', async () => {
      const { status, body } = await new Wire(stage, PORT_FORWARD, V4).refused();
      expect(status).to.equal(400);
      expect(body).to.contain('query parameter "port" is required');
    });

    it('is refused by a kubelet that knows no such protocol in it', async () => {
      const { status, body } = await new Wire(stage, PORT_FORWARD, 'SPDY/3.1+nonsense.k8s.io').refused();
      expect(status).to.equal(403);
      expect(body).to.contain('client supports [nonsense.k8s.io], server accepts [portforward.k8s.io]');
    });

    for (const [head, status] of [
      ['404 Not Found', 404],
      ['403 Forbidden', 403],
      ['500 Internal Server Error', 500],
      ['503 Service Unavailable', 503],
    ] as const) {
      it(`passes ${head} of the kubelet on, with its body`, async () => {
        await stage.end();
        stage = await ClusterStage.start({ proxy: { kubelet: { insecureSkipTLSVerify: true } } });
        await putKubelet(stage, (_request, answer) => answer(head, 'what the kubelet says'));
        const refused = await new Wire(stage, PORT_FORWARD, TUNNEL).refused();
        expect(refused).to.deep.equal({ status, body: 'what the kubelet says' });
      });
    }

    for (const head of ['200 OK', '302 Found\r\nLocation: /elsewhere']) {
      it(`takes no ${head.slice(0, 3)} for a 101`, async () => {
        await stage.end();
        stage = await ClusterStage.start({ proxy: { kubelet: { insecureSkipTLSVerify: true } } });
        const asked: (string | undefined)[] = [];
        await putKubelet(stage, ({ url }, answer) => {
          asked.push(url);
          answer(head);
        });
        const { status, body } = await new Wire(stage, PORT_FORWARD, TUNNEL).refused();
        expect(status).to.equal(500);
        expect(JSON.parse(body)).to.have.property(
          'message',
          `invalid upgrade response: status code ${head.slice(0, 3)}`,
        );
        expect(asked).to.deep.equal(['/portForward/shop/cart']);
      });
    }
  });

  describe('AC-44: WebSocket', () => {
    it('asks the kubelet for the ports of the query by its own name for them', async () => {
      for (const [query, expected] of [
        ['?ports=80', '?port=80'],
        ['?ports=80,81', '?port=80%2C81'],
        ['?ports=80&ports=81', '?port=80%2C81'],
        ['?port=80', ''],
      ]) {
        const before = stage.kubelet.requests.length;
        const wire = new Wire(stage, `${PORT_FORWARD}${query}`, V4);
        await until('the kubelet is asked', () => stage.kubelet.requests.length > before);
        wire.socket.terminate();
        expect(stage.kubelet.requests.at(-1)?.url, query).to.equal(`/portForward/shop/cart${expected}`);
      }
    });

    it('has each of two ports on its own two channels, data and errors', async () => {
      const [one, other] = [await stage.endpoint(echo), await stage.endpoint(echo)];
      const wire = await new Wire(
        stage,
        `${PORT_FORWARD}?ports=${one.port}&ports=${other.port}`,
        V4,
      ).opened();
      wire.send(0, 'one');
      wire.send(2, 'other');
      await until('both', () => wire.bytes(0).length === 5 && wire.bytes(2).length === 7);
      // The first message of each channel is its port.
      const first = [0, 1, 2, 3].map((channel) => wire.messages.find(({ bytes }) => bytes[0] === channel));
      expect(first.map((message) => message?.bytes.subarray(1))).to.deep.equal(
        [one, one, other, other].map(({ port }) => LE(port)),
      );
      expect(wire.bytes(0).subarray(2).toString()).to.equal('one');
      expect(wire.bytes(2).subarray(2).toString()).to.equal('other');
      expect([wire.bytes(1), wire.bytes(3)]).to.deep.equal([LE(one.port), LE(other.port)]);
      expect(wire.messages.every(({ isBinary }) => isBinary)).to.equal(true);
    });
  });

  for (const [how, ask] of [
    ['SPDY', () => upgradeToSpdy(stage, PORT_FORWARD.replace('cart', 'unscheduled'), 'portforward.k8s.io')],
    [
      'WebSocket',
      () => new Wire(stage, `${PORT_FORWARD.replace('cart', 'unscheduled')}?ports=80`, V4).refused(),
    ],
    [
      'SPDY in a WebSocket',
      () => new Wire(stage, PORT_FORWARD.replace('cart', 'unscheduled'), TUNNEL).refused(),
    ],
  ] as const) {
    it(`AC-48: over ${how} to a pod that has no node is a bad request`, async () => {
      const answer = await ask();
      if (!('status' in answer)) throw new Error('it was upgraded');
      expect(answer.status).to.equal(400);
      expect(JSON.parse(answer.body)).to.include({
        reason: 'BadRequest',
        message: 'pod unscheduled does not have a host assigned',
      });
    });
  }
});
