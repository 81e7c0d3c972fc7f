import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer, text } from 'node:stream/consumers';
import { read } from '../support/dialer.js';
import { refusedEndpoint } from '../support/endpoints.js';
import type { Outcome } from './command-host.js';
import { CommandHost, Rig } from './rig.js';

describe('examples: fetch-through-node', () => {
  let rig: Rig;
  let host: CommandHost;
  before(() => (host = new CommandHost('fetchThroughNode')));
  after(() => host.end());
  beforeEach(async () => (rig = await Rig.start()));
  afterEach(() => rig.end());

  /** A web server that the node reaches; its URL. */
  async function site(answer: RequestListener): Promise<string> {
    const server = createServer(answer).listen(0, '127.0.0.1');
    await once(server, 'listening');
    rig.onEnd(async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    });
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  }

  /** A command line that works. */
  function argv(...rest: string[]): string[] {
    const { address, port } = rig.ssh.spec;
    const files = [`--key=${rig.path('key')}`, `--known-hosts=${rig.path('known_hosts')}`];
    return [`--node=${address}:${port}`, '--user=tunnel', ...files, ...rest];
  }

  const run = (...rest: string[]): Promise<Outcome> => host.run(argv(...rest));

  it('shows itself with --demo, and ends', async () => {
    const { stdout, ended } = rig.spawn('fetch-through-node.ts', ['--demo']);
    expect(await text(stdout)).to.equal('3 × crème brûlée, paid\n');
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
  });

  it('prints the body byte for byte, as a process', async () => {
    const body = randomBytes(3_000_000);
    const url = await site((_request, response) => response.end(body));
    const { stdout, ended } = rig.spawn('fetch-through-node.ts', argv(url));
    const printed = await buffer(stdout);
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
    expect(printed.equals(body)).to.equal(true);
    await rig.ssh.until(({ connections }) => connections === 0);
  });

  it('sends what the options say', async () => {
    const url = await site((request, response) => {
      const { method, headers } = request;
      void text(request).then((body) => {
        response.end([method, headers.accept, headers['x-twice'], body].join('|'));
      });
    });
    expect((await run(url)).output).to.equal('GET|*/*||');
    expect((await run('-d', 'hello', url)).output).to.equal('POST|*/*||hello');
    const all = ['-X', 'PUT', '-H', 'Accept: a/b', '-H', 'x-twice: 1', '-H', 'x-twice:2', '-d', 'x'];
    expect((await run(...all, url)).output).to.equal('PUT|a/b|1, 2|x');
  });

  it('prints the head of the answer if told to', async () => {
    const url = await site((_request, response) => response.setHeader('x-mark', 'a').end('body'));
    const { code, output } = await run('-i', url);
    expect(code).to.equal(0);
    expect(output).to.match(/^200 OK\n[^]*x-mark: a\n[^]*\nbody$/);
  });

  it('follows a redirect through the node as well', async () => {
    const other = await site((_request, response) => response.end('the other'));
    const url = await site((_request, response) =>
      response.writeHead(302, { location: 'http://other.svc/' }).end(),
    );
    rig.names.set('other.svc', { host: '127.0.0.1', port: Number(new URL(other).port) });
    expect(await run(url)).to.deep.equal({ code: 0, output: 'the other', errors: '' });
  });

  it('fails when the answer is an error, which is printed', async () => {
    const url = await site((_request, response) => response.writeHead(404).end('nothing here\n'));
    const errors = 'fetch-through-node: the server answered 404 Not Found\n';
    expect(await run(url)).to.deep.equal({ code: 1, output: 'nothing here\n', errors });
  });

  it('verifies the server of an https: URL', async () => {
    const url = `https://127.0.0.1:${rig.kubelet.port}/healthz`;
    const token = ['-H', `Authorization: Bearer ${rig.kubelet.token}`];
    expect(await run(...token, `--ca=${rig.path('ca.crt')}`, url)).to.include({ code: 0, output: 'ok' });
    expect(await run(...token, '--insecure-skip-tls-verify', url)).to.include({ code: 0, output: 'ok' });
    const { code, errors } = await run(...token, url);
    expect(code).to.equal(1);
    expect(errors).to.match(/^fetch-through-node: the server's certificate is refused.*--ca takes .*\n$/);
  });

  it('says so in one line when the endpoint is not there, or no TLS', async () => {
    const url = await site((_request, response) => response.end());
    const refused = await run(`http://127.0.0.1:${(await refusedEndpoint()).port}/`);
    expect(refused.code).to.equal(1);
    expect(refused.errors).to.match(/^fetch-through-node: .*refused; is there such an endpoint.*\n$/);
    const plain = await run(url.replace('http:', 'https:'));
    expect(plain.code).to.equal(1);
    expect(plain.errors).to.match(/^fetch-through-node: there is no TLS with the server .*http:.*\n$/);
  });

  it('does not take a body that is cut off for one that is complete', async () => {
    const url = await site((_request, response) => response.write('the beginning\n'));
    const { stdout, ended } = rig.spawn('fetch-through-node.ts', argv(url));
    expect((await read(stdout, 14)).toString()).to.equal('the beginning\n');
    rig.ssh.cut('rst');
    const { code, errors } = await ended;
    expect(code).to.equal(1);
    expect(errors).to.match(/^fetch-through-node: .*; what was printed is not all\n$/);
  });

  it('is ended by Ctrl-C while an answer goes on', async () => {
    const url = await site((_request, response) => response.write('the beginning\n'));
    const { child, stdout, ended } = rig.spawn('fetch-through-node.ts', argv(url));
    await read(stdout, 14);
    child.kill('SIGINT');
    expect(await ended).to.deep.equal({ code: 130, errors: '' });
    await rig.ssh.until(({ connections }) => connections === 0);
  });

  it('says in one line how it is used wrongly', async () => {
    const wrong: [string[], RegExp][] = [
      [['--key=x', 'http://a/'], /--node is missing/],
      [argv(), /one URL is needed/],
      [argv('http://a/', 'http://b/'), /one URL is needed/],
      [argv('ftp://a/'), /must begin with http:/],
      [argv('-H', 'nonsense', 'http://a/'), /--header must be/],
      [argv('--ca=/nonexistent', 'http://a/'), /--ca: cannot read/],
      [['--node=a', 'http://a/'], /nothing to log in with/],
    ];
    for (const [line, said] of wrong) {
      const { code, errors, output } = await host.run(line);
      expect(errors)
        .to.match(said)
        .and.match(/^fetch-through-node: [^\n]*\n$/);
      expect([code, output]).to.deep.equal([2, '']);
    }
  });
});
