import { expect } from 'chai';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fetchThroughProxy } from '../../examples/support/fetch-through-proxy.js';
import { startKubelet, type Kubelet } from '../../lib/testing/index.js';
import { firstMatch, spawnExample, type Script } from '../examples/script.js';
import { roundTrip } from '../support/dialer.js';
import { startEcho } from '../support/endpoints.js';
import { temporaryDirectory } from '../support/sshd-files.js';
import type { Sshd } from '../support/sshd.js';
import { Stage } from './stage.js';

describe('examples through a real sshd', () => {
  const shared = new Stage();
  const stage = new Stage();
  let sshd: Sshd;
  let kubelet: Kubelet;
  let folder: string;
  before(async () => {
    sshd = await shared.sshd();
    kubelet = await shared.use(
      startKubelet({ host: sshd.listenHost, altNames: [sshd.address, sshd.endpointHost] }),
    );
    folder = temporaryDirectory();
    shared.onEnd(() => rmSync(folder, { recursive: true }));
    const files = {
      key: sshd.privateKey,
      known_hosts: sshd.knownHosts,
      'ca.crt': kubelet.certificateAuthority,
      token: kubelet.token,
    };
    for (const [name, content] of Object.entries(files)) {
      await writeFile(join(folder, name), content, { mode: 0o600 });
    }
  });
  after(() => shared.end());
  afterEach(() => stage.end());

  function spawn(script: string, ...argv: string[]): Script {
    const started = spawnExample(script, argv, { stdin: true });
    stage.onEnd(() => started.child.kill('SIGKILL'));
    return started;
  }

  const login = (): string[] => [
    `--user=${sshd.username}`,
    `--key=${join(folder, 'key')}`,
    `--known-hosts=${join(folder, 'known_hosts')}`,
  ];

  const run = (script: string, ...argv: string[]): Script =>
    spawn(script, `--node=${sshd.address}:${sshd.port}`, ...login(), ...argv);

  /** What the kubelet's clients need besides. */
  const ofKubelet = (): string[] => [
    `--self-address=${sshd.endpointHost}`,
    `--kubelet-port=${kubelet.port}`,
    `--ca=${join(folder, 'ca.crt')}`,
    `--token-file=${join(folder, 'token')}`,
  ];

  it('kubelet-exec runs a command', async () => {
    const argv = [...ofKubelet(), '-i', 'web', 'app', '--', 'sh', '-c', 'tr a-z A-Z; exit 3'];
    const { stdin, stdout, ended } = run('kubelet-exec.ts', ...argv);
    stdin?.end('hello\n');
    expect(await text(stdout)).to.equal('HELLO\n');
    expect(await ended).to.deep.equal({ code: 3, errors: '' });
  });

  it('scrape-metrics reads the metrics of many kubelets', async () => {
    const { address, port, endpointHost: selfAddress } = sshd;
    const nodes = ['a', 'b', 'c'].map((name) => ({
      ...{ name, address, port, selfAddress },
      // Nobody listens at that of c.
      kubeletPort: name === 'c' ? 1 : kubelet.port,
    }));
    const list = join(folder, 'nodes.json');
    await writeFile(list, JSON.stringify(nodes));
    const files = [`--ca=${join(folder, 'ca.crt')}`, `--token-file=${join(folder, 'token')}`];
    const { stdout, ended } = spawn('scrape-metrics.ts', `--nodes=${list}`, ...login(), ...files);
    const shown = await text(stdout);
    expect(shown)
      .to.match(/^a +200 +\d+ +\d+\nb +200 +\d+ +\d+\nc +FAILED +- +\d+\n/m)
      .and.match(/^c: .*is the kubelet up\?/m)
      .and.include('2 of 3 kubelets');
    const { code, errors } = await ended;
    expect(code, errors).to.equal(1);
  });

  it('port-forward forwards a port', async () => {
    const echo = await startEcho();
    stage.onEnd(() => echo.close());
    const { child, stdout, ended } = run('port-forward.ts', ...ofKubelet(), 'web', `:${echo.port}`);
    const [, port] = await firstMatch(stdout, /port (\d+) is port \d+ of web\n/);
    const socket = connect({ host: '127.0.0.1', port: Number(port) });
    stage.onEnd(() => socket.destroy());
    await roundTrip(socket);
    socket.on('error', () => undefined);
    child.kill('SIGINT');
    expect(await ended).to.deep.equal({ code: 130, errors: '' });
  });

  /** A web server that the node reaches; its URL. */
  async function site(): Promise<string> {
    const server = createServer((_request, response) => response.end('hello\n')).listen(0, sshd.listenHost);
    await once(server, 'listening');
    stage.onEnd(() => {
      server.close();
      server.closeAllConnections();
    });
    return `http://${sshd.endpointHost}:${(server.address() as AddressInfo).port}/`;
  }

  it('fetch-through-node fetches a URL', async () => {
    const { stdout, ended } = run('fetch-through-node.ts', await site());
    expect(await text(stdout)).to.equal('hello\n');
    expect(await ended).to.deep.equal({ code: 0, errors: '' });
  });

  for (const flags of [[], ['--http']]) {
    it(`socks ${flags.join('')} is a proxy`, async () => {
      const { child, stdout, ended } = run('socks.ts', '--listen=0', ...flags);
      const [, port] = await firstMatch(stdout, /:\/\/127\.0\.0\.1:(\d+)\n/);
      const { signal } = new AbortController();
      const at = { host: '127.0.0.1', port: Number(port) };
      expect(await fetchThroughProxy(at, flags.length > 0, await site(), signal)).to.equal('hello\n');
      child.kill('SIGINT');
      expect(await ended).to.deep.equal({ code: 130, errors: '' });
    });
  }
});
