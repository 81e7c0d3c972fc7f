import { expect } from 'chai';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { fetchThroughProxy } from '../../examples/support/fetch-through-proxy.js';
import { rejection } from '../support/dialer.js';
import { CommandHost, Rig } from './rig.js';
import { firstMatch, type Script, type SpawnOptions } from './script.js';

describe('examples: socks', () => {
  let rig: Rig;
  beforeEach(async () => {
    rig = await Rig.start();
    const server = createServer((_request, response) => response.end('hello')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    rig.onEnd(() => void server.close());
    rig.names.set('web.svc', { host: '127.0.0.1', port: (server.address() as AddressInfo).port });
  });
  afterEach(() => rig.end());

  const login = (): string[] => [
    '--user=tunnel',
    `--key=${rig.path('key')}`,
    `--known-hosts=${rig.path('known_hosts')}`,
  ];
  const node = (): string => `--node=${rig.ssh.spec.address}:${rig.ssh.spec.port}`;

  async function proxy(
    argv: readonly string[],
    options?: SpawnOptions,
  ): Promise<Script & { at: { host: string; port: number } }> {
    const script = rig.spawn('socks.ts', [...login(), '--listen=0', ...argv], options);
    const [, port] = await firstMatch(script.stdout, /proxy through .*:\/\/127\.0\.0\.1:(\d+)\n/);
    return { ...script, at: { host: '127.0.0.1', port: Number(port) } };
  }

  const { signal } = new AbortController();

  for (const [flags, isHttp] of [
    [[], false],
    [['--http'], true],
  ] as const) {
    const name = isHttp ? 'an HTTP CONNECT' : 'a SOCKS5';

    it(`shows ${name} proxy with --demo, and ends`, async () => {
      const { stdout, ended } = rig.spawn('socks.ts', ['--demo', ...flags]);
      const shown = await text(stdout);
      expect(shown).to.match(isHttp ? /^HTTP CONNECT proxy .* http:/ : /^SOCKS5 proxy .* socks5h:/);
      expect(shown).to.match(
        /\$ curl .*--proxy \S+:\d+ http:\/\/cart\.shop\.svc\.cluster\.local\/\n.*brûlée/,
      );
      expect(await ended).to.deep.equal({ code: 0, errors: '' });
    });

    it(`is ${name} proxy to what the node knows, until Ctrl-C`, async () => {
      const { child, at, ended } = await proxy([node(), ...flags]);
      expect(await fetchThroughProxy(at, isHttp, 'http://web.svc/', signal)).to.equal('hello');
      const error = await rejection(fetchThroughProxy(at, isHttp, 'http://nonexistent.invalid/', signal));
      expect(error).to.be.an('error');
      expect(await fetchThroughProxy(at, isHttp, 'http://web.svc/', signal)).to.equal('hello');
      child.kill('SIGINT');
      const { code, errors } = await ended;
      expect(code).to.equal(130);
      expect(errors).to.match(/^socks: .*nonexistent\.invalid:80.*; is there such an endpoint.*\n$/);
      await rig.ssh.until(({ connections }) => connections === 0);
    });
  }

  it('goes through the nodes of a file', async () => {
    const { address, port } = rig.ssh.spec;
    const nodes = [
      { name: 'a', address, port },
      { name: 'b', address: '127.0.0.1', port },
    ];
    const file = await rig.file('nodes.json', JSON.stringify(nodes));
    const { child, at, ended } = await proxy([`--nodes=${file}`]);
    expect(await fetchThroughProxy(at, false, 'http://web.svc/', signal)).to.equal('hello');
    child.kill('SIGINT');
    expect(await ended).to.deep.equal({ code: 130, errors: '' });
  });

  it('asks for the password that is in the environment', async () => {
    const environment = { SOCKS_PROXY_PASSWORD: 'secret' };
    const { child, at, ended } = await proxy([node(), '--http', '--proxy-user=me'], { environment });
    const error = await rejection(fetchThroughProxy(at, true, 'http://web.svc/', signal));
    expect(error.message).to.include('407');
    child.kill('SIGINT');
    expect(await ended).to.deep.equal({ code: 130, errors: '' });
  });

  it('says in one line how it is used wrongly', async () => {
    const host = new CommandHost('socks');
    rig.onEnd(() => host.end());
    const right = [...login(), node()];
    const wrong: [string[], RegExp][] = [
      [login(), /--node is missing/],
      [[...right, 'x'], /no names/],
      [[...right, '--nodes=x'], /--node and --nodes exclude/],
      [[...right, '--stay'], /--stay belongs to --demo/],
      [[...right, '--listen=x:y'], /the port of --listen must be/],
      [[...right, '--listen=65536'], /--listen must be/],
      [[...right, '--proxy-user=me'], /SOCKS_PROXY_PASSWORD/],
      [[...right, '--listen=0.0.0.0:0'], /other machines reach .*: give --proxy-user/],
      [[...login(), '--nodes=/nonexistent'], /ENOENT/],
    ];
    for (const [argv, said] of wrong) {
      const { code, errors, output } = await host.run(argv);
      expect(errors)
        .to.match(said)
        .and.match(/^socks: [^\n]*\n$/);
      expect([code, output]).to.deep.equal([2, '']);
    }
  });
});
