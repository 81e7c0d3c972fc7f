import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { expect } from 'chai';
import type { SpdyStream } from '../../../lib/spdy/stream.js';
import { startKubelet, type Kubelet } from '../../../lib/testing/index.js';
import { said } from '../../spdy/pair.js';
import { until } from '../../support/dialer.js';
import { patternSha256, patternStream } from '../../support/pattern.js';
import { execPath } from './client.js';
import { Heard, SpdyClient } from './spdy-client.js';

describe('testing: exec over the SPDY of a kubelet', () => {
  let kubelet: Kubelet;
  beforeEach(async () => {
    kubelet = await startKubelet();
  });
  afterEach(() => kubelet.close());

  it('tells stdout from stderr, and the exit code after both', async () => {
    await using client = await SpdyClient.connect(
      kubelet,
      execPath(['sh', '-c', 'echo out; echo err >&2; exit 42']),
    );
    expect(client.protocol).to.equal('v4.channel.k8s.io');
    const [error, stdout, stderr] = (
      await Promise.all(['error', 'stdout', 'stderr'].map((kind) => client.open(kind)))
    ).map((stream) => new Heard(stream));
    await Promise.all([error!.ended, stdout!.ended, stderr!.ended]);
    expect([stdout!.text, stderr!.text]).to.deep.equal(['out\n', 'err\n']);
    expect(JSON.parse(error!.text)).to.deep.include({
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '42' }] },
    });
    await client.session.closed;
  });

  it('carries 16 MiB through stdin and stdout unchanged, and ends stdin', async () => {
    await using client = await SpdyClient.connect(kubelet, execPath(['cat'], 'input=1&output=1'));
    const [error, stdin, stdout] = await open(client, 'error', 'stdin', 'stdout');
    const hash = createHash('sha256');
    const heard = new Heard(error!);
    await Promise.all([
      pipeline(patternStream(16 * 1024 * 1024), stdin!),
      pipeline(stdout!, hash),
      heard.ended,
    ]);
    expect(hash.digest('hex')).to.equal(patternSha256(16 * 1024 * 1024));
    expect(JSON.parse(heard.text)).to.include({ status: 'Success' });
  });

  it('says of failure in older protocols only what it is', async () => {
    await using client = await SpdyClient.connect(kubelet, execPath(['false']), ['channel.k8s.io']);
    const [error] = await open(client, 'error', 'stdout', 'stderr');
    const heard = new Heard(error!);
    await heard.ended;
    expect(heard.text).to.match(/^command terminated with non-zero exit code/);
  });

  it('kills a command whose client is gone', async () => {
    const client = await SpdyClient.connect(kubelet, execPath(['sleep', '1000']));
    await open(client, 'error', 'stdout', 'stderr');
    await until('the exec', () => kubelet.open.execs === 1);
    client.session.destroy();
    await client.session.closed;
    await until('its end', () => kubelet.open.execs === 0);
  });

  it('takes no stream that the query does not ask for, and none twice', async () => {
    await using client = await SpdyClient.connect(kubelet, execPath(['cat'], 'output=1'));
    await client.open('error');
    for (const kind of ['stdin', 'error', 'nonsense']) {
      const refused: unknown = await client.open(kind).catch((error: unknown) => error);
      expect(refused, kind).to.include({ code: 'ERR_SPDY_REFUSED' });
    }
  });

  it('attaches to what runs, and ends its stdin with that of the client', async () => {
    const script = 'while read -r line; do echo "read:$line"; done; echo stdin closed';
    const app = { name: 'app', command: ['sh', '-c', script], stdinOnce: true };
    await using attached = await startKubelet({ pods: [{ name: 'web', containers: [app] }] });
    await using client = await SpdyClient.connect(attached, '/attach/default/web/app?input=1&output=1');
    const [, stdin, stdout] = await open(client, 'error', 'stdin', 'stdout');
    const heard = new Heard(stdout!);
    stdin!.end('value\n');
    await heard.ended;
    expect(heard.text).to.equal('read:value\nstdin closed\n');
  });
});

describe('testing: port-forward over the SPDY of a kubelet', () => {
  const forward = async (kubelet: Kubelet): Promise<SpdyClient> =>
    SpdyClient.connect(kubelet, '/portForward/default/web', ['portforward.k8s.io']);
  const headers = (port: number | string, requestid = '0') => ({ port: String(port), requestid });

  it('connects a port for each pair of streams, and ends each direction alone', async () => {
    await using kubelet = await startKubelet();
    await using server = await listen(
      (socket) => void said(socket).then((text) => socket.end(`got ${text}`)),
    );
    await using client = await forward(kubelet);
    for (const id of ['0', '1']) {
      const error = new Heard(await client.open('error', headers(server.port, id)));
      const data = await client.open('data', headers(server.port, id));
      const heard = new Heard(data);
      data.end(`all of ${id}`);
      await Promise.all([heard.ended, error.ended]);
      expect([heard.text, error.text]).to.deep.equal([`got all of ${id}`, '']);
    }
    expect(kubelet.open.portForwards).to.equal(1);
  });

  it('says why a port could not be connected', async () => {
    await using kubelet = await startKubelet();
    const { port } = await closedPort();
    await using client = await forward(kubelet);
    const error = new Heard(await client.open('error', headers(port)));
    const data = new Heard(await client.open('data', headers(port)));
    await Promise.all([error.ended, data.ended]);
    expect(error.text).to.match(/^error forwarding port \d+ to pod web_default, .*connection refused$/);
  });

  it('takes ports from 1 to 65535 only (AC-45)', async () => {
    await using kubelet = await startKubelet();
    await using client = await forward(kubelet);
    for (const port of ['', 'abc', '-1', '0', '65536']) {
      const refused: unknown = await client.open('error', headers(port)).catch((error: unknown) => error);
      expect(refused, port).to.include({ code: 'ERR_SPDY_REFUSED' });
    }
    for (const port of [1, 80, 65535]) await client.open('error', headers(port, `${port}`));
  });

  it('ends the connection to a port when the client gives it up', async () => {
    await using kubelet = await startKubelet();
    const ended: Promise<string>[] = [];
    await using server = await listen((socket) => void ended.push(said(socket)));
    await using client = await forward(kubelet);
    await client.open('error', headers(server.port));
    const data = await client.open('data', headers(server.port));
    data.write('half');
    await until('the connection', () => ended.length === 1);
    data.destroy();
    expect(await ended[0]).to.equal('half');
  });
});

/** A server of TCP. */
async function listen(serve: (socket: Socket) => void): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    serve(socket);
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function closedPort(): Promise<{ readonly port: number }> {
  await using server = await listen(() => undefined);
  return { port: server.port };
}

const open = (client: SpdyClient, ...kinds: readonly string[]): Promise<SpdyStream[]> =>
  Promise.all(kinds.map((kind) => client.open(kind)));
