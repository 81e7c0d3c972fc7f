import { expect } from 'chai';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { text } from 'node:stream/consumers';
import { FakeDialer, nodeStatus } from './fake-dialer.js';
import { Site } from './site.js';

const TELLING = ['/', '/statusz', '/events'];

describe('statusHandler: hosts', () => {
  let site: Site;

  const start = async (hosts?: readonly string[]): Promise<void> => {
    const dialer = new FakeDialer();
    dialer.nodes = [nodeStatus('node-1')];
    site = await Site.start(dialer, {
      hosts,
      metrics: { contentType: 'x', metrics: () => Promise.resolve('') },
    });
  };

  afterEach(() => site.end());

  /** Status and text of an answer to a request with this Host header, or with none. */
  async function ask(path: string, host?: string): Promise<{ status: number; body: string }> {
    const socket = connect(site.port, '127.0.0.1');
    // A stream of events is seen to begin by HEAD.
    const method = path === '/events' ? 'HEAD' : 'GET';
    const fields = host === undefined ? '' : `Host: ${host}\r\n`;
    socket.write(`${method} ${path} HTTP/1.0\r\n${fields}Connection: close\r\n\r\n`);
    const answer = await text(socket);
    const [, status] = /^HTTP\/1\.1 (\d+)/.exec(answer) ?? [];
    return { status: Number(status), body: answer.split('\r\n\r\n')[1] ?? '' };
  }

  const statuses = (paths: readonly string[], host?: string) =>
    Promise.all(paths.map(async (path) => (await ask(path, host)).status));

  it('that are IP addresses, localhost or the machine itself are served, with any port, and so is who names none', async () => {
    await start();
    const own = ['127.0.0.1', '10.0.0.7', '[::1]', '[FE80::1]', 'localhost', 'LocalHost.', hostname()];
    for (const host of own.flatMap((name) => [name, `${name}:9090`, `${name}:`]))
      expect(await statuses(TELLING, host), host).to.deep.equal([200, 200, 200]);
    expect(await statuses(TELLING)).to.deep.equal([200, 200, 200]);
  });

  it('of others are told nothing of the nodes, and which option to set', async () => {
    await start();
    const strange = [
      'evil.example',
      'evil.example:9090',
      'localhost.evil.example',
      'evil-localhost',
      '127.0.0.1.evil.example',
      '127.0.0.1:80:80',
      '[::1].evil.example',
      '[localhost',
      '',
    ];
    for (const host of strange) expect(await statuses(TELLING, host), host).to.deep.equal([403, 403, 403]);
    const { body } = await ask('/statusz', 'evil.example:9090');
    expect(body).to.equal(
      'this is not served to requests for "evil.example": list it in the option hosts of statusHandler, or ask by an IP address\n',
    );
    expect((await ask('/', 'a\u009b2J<b>')).body).to.match(/^\P{Cc}*\n$/u);
  });

  it('of any name are served what probes and Prometheus ask for', async () => {
    await start();
    const paths = ['/healthz', '/readyz', '/metrics'];
    expect(await statuses(paths, 'tunnels.ops.svc')).to.deep.equal([200, 200, 200]);
    expect(await statuses(['/nothing'], 'tunnels.ops.svc')).to.deep.equal([404]);
  });

  it('that are listed are served, whatever their case, beside those that always are', async () => {
    await start(['Tunnels.example.com.', 'tunnels.ops.svc']);
    for (const host of ['tunnels.Example.com', 'TUNNELS.ops.svc:80', 'tunnels.ops.svc.', '127.0.0.1'])
      expect(await statuses(TELLING, host), host).to.deep.equal([200, 200, 200]);
    expect(await statuses(TELLING, 'example.com')).to.deep.equal([403, 403, 403]);
  });
});
