import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { expect } from 'chai';
import { startKubelet, type Kubelet } from '../../../lib/testing/index.js';
import { echo, Lab, readAll, until } from '../../support/dialer.js';
import { Wire } from './client.js';

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('testing: the port-forward of a kubelet', () => {
  const lab = new Lab();
  let kubelet: Kubelet;
  beforeEach(async () => {
    kubelet = await startKubelet();
    lab.onEnd(() => kubelet.close());
  });
  afterEach(() => lab.end());

  const path = (ports: string): string => `/portForward/default/web?port=${ports}`;
  const forward = (...ports: number[]): Wire => new Wire(kubelet, path(ports.join(',')), 'v4.channel.k8s.io');
  const named = (port: number): Buffer => Buffer.of(port & 0xff, port >> 8);

  it('names the port on both of its channels, then carries bytes', async () => {
    const { port } = await lab.endpoint(echo);
    const wire = await forward(port).opened();
    await wire.send(0, 'hello');
    await wire.until(0, /hello/);
    expect(wire.bytes(0)).to.deep.equal(Buffer.concat([named(port), Buffer.from('hello')]));
    expect(wire.bytes(1)).to.deep.equal(named(port));
    wire.socket.close();
    await until('the end', () => kubelet.open.portForwards === 0);
  });

  it('carries several ports at once', async () => {
    const [one, other] = [await lab.endpoint(echo), await lab.endpoint(echo)];
    const wire = await forward(one.port, other.port).opened();
    await wire.send(0, 'one');
    await wire.send(2, 'other');
    await Promise.all([wire.until(0, /one/), wire.until(2, /other/)]);
    expect(wire.bytes(3)).to.deep.equal(named(other.port));
  });

  it('carries 32 MiB both ways unchanged', async () => {
    const { port } = await lab.endpoint(echo);
    const wire = await forward(port).opened();
    const bytes = randomBytes(32 * 1024 * 1024);
    for (let at = 0; at < bytes.length; at += 65_536) await wire.send(0, bytes.subarray(at, at + 65_536));
    await until('everything', () => wire.length(0) === bytes.length + 2);
    expect(sha256(wire.bytes(0).subarray(2))).to.equal(sha256(bytes));
  });

  it('gives all that an endpoint sent before it says goodbye', async () => {
    const { port } = await lab.endpoint((socket) => socket.end(Buffer.alloc(4_000_000)));
    const wire = forward(port);
    expect(await wire.closed).to.equal(1000);
    expect(wire.length(0)).to.equal(4_000_002);
    expect(wire.length(1)).to.equal(2);
  });

  it('gives the endpoint all that a client sent before it left', async () => {
    const endpoint = await lab.endpoint(() => undefined);
    const wire = await forward(endpoint.port).opened();
    const socket = await endpoint.next();
    const got = readAll(socket);
    await wire.send(0, Buffer.alloc(300_000));
    wire.socket.close();
    expect((await got).length).to.equal(300_000);
    socket.destroy();
  });

  it('says on the error channel why an endpoint cannot be reached', async () => {
    const endpoint = await lab.endpoint();
    await endpoint.close();
    const wire = forward(endpoint.port);
    expect(await wire.closed).to.equal(1000);
    const words = wire.bytes(1).subarray(2).toString();
    expect(words).to.match(
      /^error forwarding port \d+ to pod web_default, uid \S+: .*dial tcp4 127\.0\.0\.1:\d+: connect: connection refused$/,
    );
  });

  it('ends its connections when the client is gone or the kubelet closes', async () => {
    const endpoint = await lab.endpoint();
    const vanish = async (wire: Wire): Promise<void> => {
      wire.socket.terminate();
      await wire.closed;
    };
    for (const leave of [vanish, () => kubelet.close()]) {
      const wire = forward(endpoint.port);
      const closed = once(await endpoint.next(), 'close');
      await until('the port', () => wire.length(1) === 2);
      await leave(wire);
      await closed;
      await until('the end', () => kubelet.open.portForwards === 0);
    }
  });

  const refusals: Record<string, [path: string, status: number, body: RegExp]> = {
    'no port': ['/portForward/default/web', 400, /^query parameter "port" is required\n$/],
    'an empty port': [path(''), 400, /^query parameter "port" cannot be empty\n$/],
    'a name': [path('abc'), 400, /^unable to parse "abc" as a port: .*invalid syntax\n$/],
    'a negative port': [path('-1'), 400, /invalid syntax\n$/],
    'port 0': [path('0'), 400, /^port "0" must be > 0\n$/],
    'port 65536': [path('80,65536'), 400, /^unable to parse "80,65536" as a port: .*out of range\n$/],
    'an unknown pod': ['/portForward/default/nobody?port=80', 404, /^pod does not exist\n$/],
    'another pod of that name': ['/portForward/default/web/old-uid?port=80', 404, /^pod not found\n$/],
  };
  for (const [what, [wrong, expected, words]] of Object.entries(refusals)) {
    it(`refuses ${what}`, async () => {
      const { status, body } = await new Wire(kubelet, wrong, 'v4.channel.k8s.io').refused();
      expect(status).to.equal(expected);
      expect(body).to.match(words);
    });
  }

  it('knows no v5, as a kubelet does not', async () => {
    const { status, body } = await new Wire(kubelet, path('80'), 'v5.channel.k8s.io').refused();
    expect({ status, body }).to.deep.equal({ status: 403, body: '' });
  });
});
