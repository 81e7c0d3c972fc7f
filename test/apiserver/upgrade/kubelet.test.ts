import { expect } from 'chai';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { WebSocket } from 'ws';
import { startKubelet, type Kubelet, type KubeletOptions } from '../../../lib/testing/index.js';
import { echo, read, until } from '../../support/dialer.js';
import { execPath } from '../../testing/kubelet/client.js';
import { authority, Proxy, UPGRADE } from './stage.js';

/** A WebSocket through the proxy, and what has come on its channels. */
class Stream {
  readonly ws: WebSocket;
  readonly closed: Promise<number>;
  readonly #received = new Map<number, Buffer[]>();

  constructor(url: string, protocols: string | string[]) {
    this.ws = new WebSocket(url, protocols, { ca: authority.certificate });
    this.closed = new Promise((resolve) => this.ws.once('close', resolve));
    this.ws.on('error', () => undefined);
    this.ws.on('message', (message: Buffer) => {
      const [channel = 0] = message;
      this.#received.set(channel, [...(this.#received.get(channel) ?? []), message.subarray(1)]);
    });
  }

  bytes(channel: number): Buffer {
    return Buffer.concat(this.#received.get(channel) ?? []);
  }

  async refused(): Promise<{ status: number | undefined; body: string }> {
    const [, response] = (await once(this.ws, 'unexpected-response')) as [unknown, IncomingMessage];
    return { status: response.statusCode, body: await text(response) };
  }
}

describe('apiserver: upgrades to a kubelet behind a tunnel', () => {
  let proxy: Proxy;
  let kubelet: Kubelet;

  async function start(options: KubeletOptions = {}): Promise<void> {
    proxy = await Proxy.start({ tls: true });
    kubelet = await startKubelet(options);
    const dialer = proxy.dialer([await proxy.node()]);
    const { certificate: cert, privateKey: key } = kubelet.clientCertificate();
    proxy.to(kubelet.port, { dialer, tls: { ca: kubelet.certificateAuthority, cert, key } });
  }
  afterEach(async () => {
    await kubelet.close();
    await proxy.end();
  });

  const open = (path: string, protocols: string | string[] = 'v4.channel.k8s.io'): Stream => {
    const stream = new Stream(`${proxy.url}${path}`, protocols);
    proxy.onEnd(() => stream.ws.terminate());
    return stream;
  };

  it('gives the exit code of a command, after all that it has printed', async () => {
    await start();
    const stream = open(execPath(['sh', '-c', 'echo out; echo err >&2; exit 42']));
    expect(await stream.closed).to.equal(1000);
    expect(stream.bytes(1).toString()).to.equal('out\n');
    expect(stream.bytes(2).toString()).to.equal('err\n');
    expect(stream.bytes(3).toString()).to.include('"42"');
    expect(await proxy.over()).to.equal(undefined);
    expect(kubelet.requests.at(-1)).to.include({ user: 'kube-apiserver-kubelet-client' });
  });

  it('carries 16 MiB out of a command to a client that begins to read late, with its exit code', async () => {
    await start();
    const stream = open(execPath(['head', '-c', String(16 * 1024 * 1024), '/dev/zero']));
    await once(stream.ws, 'open');
    stream.ws.pause();
    for (let turn = 0; turn < 500; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    stream.ws.resume();
    expect(await stream.closed).to.equal(1000);
    expect(stream.bytes(1).length).to.equal(16 * 1024 * 1024);
    expect(stream.bytes(3).toString()).to.include('Success');
  });

  it('carries 16 MiB into a command and out of it unchanged (v5)', async () => {
    await start();
    const bytes = randomBytes(16 * 1024 * 1024);
    const stream = open(execPath(['sha256sum'], 'input=1&output=1'), 'v5.channel.k8s.io');
    await once(stream.ws, 'open');
    for (let at = 0; at < bytes.length; at += 65_536)
      stream.ws.send(Buffer.concat([Buffer.of(0), bytes.subarray(at, at + 65_536)]));
    stream.ws.send(Buffer.of(255, 0));
    await stream.closed;
    expect(stream.bytes(1).toString()).to.include(createHash('sha256').update(bytes).digest('hex'));
  });

  it('AC-31 asks for SPDY with a line for each version, and the first that is known is chosen', async () => {
    await start({ spdy: (socket) => void socket.pipe(socket) });
    const head = [
      `POST ${execPath(['true'])} HTTP/1.1`,
      'Host: proxy',
      'Connection: Upgrade',
      'Upgrade: SPDY/3.1',
      'X-Stream-Protocol-Version: v9.channel.k8s.io',
      'X-Stream-Protocol-Version: v4.channel.k8s.io',
      'X-Stream-Protocol-Version: channel.k8s.io',
      'Content-Length: 0',
    ];
    const client = proxy.send(`${head.join('\r\n')}\r\n\r\n\x80\x03\0\x01`);
    await once(client, 'secureConnect');
    await until('the upgrade', () => kubelet.requests.length > 0);
    const answer = (await read(client, 100)).toString('latin1');
    expect(answer).to.match(
      /^HTTP\/1\.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY\/3\.1\r\n/,
    );
    expect(answer).to.include('X-Stream-Protocol-Version: v4.channel.k8s.io\r\n');
    client.destroy();
    await proxy.over();
  });

  it('AC-31 passes on the refusal of versions of SPDY of which none is known', async () => {
    await start({ spdy: (socket) => void socket.pipe(socket) });
    const head = [
      `POST ${execPath(['true'])} HTTP/1.1`,
      'Host: proxy',
      'Connection: Upgrade',
      'Upgrade: SPDY/3.1',
      'X-Stream-Protocol-Version: v9.channel.k8s.io',
    ];
    const answer = await proxy.answer(`${head.join('\r\n')}\r\n\r\n`);
    expect(answer).to.match(/^HTTP\/1\.1 403 Forbidden\r\n/);
    expect(answer.match(/X-Accepted-Stream-Protocol-Versions: \S+/gi)).to.have.length(4);
    expect(answer).to.match(/unable to upgrade: unable to negotiate protocol: client supports \[v9/);
  });

  it('AC-32 passes on the 403 of a kubelet that knows no v5, at once', async () => {
    await start({ protocols: ['v4'] });
    const { status, body } = await open(execPath(['true']), 'v5.channel.k8s.io').refused();
    expect({ status, body }).to.deep.equal({ status: 403, body: '' });
    expect(await proxy.over()).to.equal(undefined);
  });

  it('AC-33 passes on the refusal of a kubelet that knows no tunnelled SPDY', async () => {
    await start();
    const head = [
      'GET /portForward/default/web HTTP/1.1',
      'Host: proxy',
      ...UPGRADE,
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Protocol: SPDY/3.1+portforward.k8s.io',
    ];
    const answer = await proxy.answer(`${head.join('\r\n')}\r\n\r\n`);
    expect(answer).to.match(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).to.include('query parameter "port" is required\n');
    expect(await proxy.over()).to.equal(undefined);
  });

  it('AC-34 passes on the 400 of an exec that asks for no stream', async () => {
    await start();
    expect((await open(execPath(['true'], '')).refused()).status).to.equal(400);
  });

  it('AC-35 carries the output of an exec over channel.k8s.io', async () => {
    await start();
    const stream = open(execPath(['echo', 'remote execution test']), ['channel.k8s.io']);
    expect(await stream.closed).to.equal(1000);
    expect(stream.ws.protocol).to.equal('channel.k8s.io');
    expect(stream.bytes(1).toString()).to.equal('remote execution test\n');
  });

  const LE = (port: number): Buffer => Buffer.of(port & 0xff, port >> 8);

  it('AC-44 forwards two ports over WebSocket, each on its own two channels', async () => {
    await start();
    const [one, other] = [await proxy.endpoint(echo), await proxy.endpoint(echo)];
    const stream = open(`/portForward/default/web?port=${one.port},${other.port}`);
    await once(stream.ws, 'open');
    stream.ws.send(Buffer.from('\x00one'));
    stream.ws.send(Buffer.from('\x02other'));
    await until('both', () => stream.bytes(0).length === 5 && stream.bytes(2).length === 7);
    expect(stream.bytes(0)).to.deep.equal(Buffer.concat([LE(one.port), Buffer.from('one')]));
    expect(stream.bytes(1)).to.deep.equal(LE(one.port));
    expect(stream.bytes(2)).to.deep.equal(Buffer.concat([LE(other.port), Buffer.from('other')]));
    expect(stream.bytes(3)).to.deep.equal(LE(other.port));
  });

  it('AC-45 passes on the refusal of ports that are none', async () => {
    await start();
    for (const port of ['', 'abc', '-1', '0', '65536']) {
      const { status } = await open(`/portForward/default/web?port=${port}`).refused();
      expect(status, port).to.equal(400);
    }
    const stream = open('/portForward/default/web?port=1,65535');
    await once(stream.ws, 'open');
  });

  it('AC-46 goes on when an endpoint answers and goes before its request has been read', async () => {
    await start();
    const rude = await proxy.endpoint((socket) => socket.end('HTTP/1.1 413 Too Large\r\n\r\n'));
    const kind = await proxy.endpoint(echo);
    const stream = open(`/portForward/default/web?port=${rude.port},${kind.port}`);
    await once(stream.ws, 'open');
    stream.ws.send(Buffer.concat([Buffer.of(0), Buffer.alloc(1024 * 1024)]));
    await until('the early answer', () => stream.bytes(0).includes('413 Too Large'));
    stream.ws.send(Buffer.from('\x02still there'));
    await until('an echo', () => stream.bytes(2).includes('still there'));
  });

  it('AC-48 passes on the 401 of a kubelet that does not know the proxy', async () => {
    await start();
    const dialer = proxy.dialer([await proxy.node()]);
    proxy.to(kubelet.port, { dialer, tls: { ca: kubelet.certificateAuthority } });
    const { status, body } = await open(execPath(['true'])).refused();
    expect({ status, body: body.trim() }).to.deep.equal({ status: 401, body: 'Unauthorized' });
  });

  it('ends the command of a client that is killed, and all that carried it', async () => {
    await start();
    const stream = open(execPath(['sleep', '1000']));
    await once(stream.ws, 'open');
    await until('the command', () => kubelet.open.execs === 1);
    stream.ws.terminate();
    expect(await proxy.over()).to.equal(undefined);
    await until('its end', () => kubelet.open.execs === 0);
  });
});
