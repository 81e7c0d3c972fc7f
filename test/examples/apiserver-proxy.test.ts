import { expect } from 'chai';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, symlink } from 'node:fs/promises';
import http2 from 'node:http2';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import { stringify } from 'yaml';
import { HELP, OPTIONS } from '../../examples/support/apiserver-proxy/arguments.js';
import { optionsIn } from '../../examples/support/apiserver-proxy/config-file.js';
import { settingsFrom } from '../../examples/support/apiserver-proxy/settings.js';
import { CommandLine } from '../../examples/support/command-line.js';
import type { ApiServer } from '../../lib/testing/index.js';
import { describeFor } from '../support/applicability.js';
import { read, rejection } from '../support/dialer.js';
import { findProgram } from '../support/find-program.js';
import { kubectlHere } from '../support/kubectl.js';
import { ApiserverStage, LOG, manifest, PROXY } from './apiserver-stage.js';
import { CommandHost, Rig } from './rig.js';
import { firstMatch } from './script.js';

const kubectl = findProgram('kubectl');

/** `it` for a test that needs kubectl. */
const withKubectl = (title: string, body: () => void | Promise<void>): void =>
  describeFor(kubectlHere, 'with kubectl', () => void it(title, body));

describe('examples: apiserver-proxy', () => {
  let stage: ApiserverStage;
  let rig: Rig;
  let apiServer: ApiServer;
  let config: ApiserverStage['config'];
  beforeEach(async () => {
    stage = await ApiserverStage.start();
    ({ rig, apiServer, config } = stage);
  });
  afterEach(() => rig.end());

  it('serves clients of HTTP/1.1 and of HTTP/2, with no more rights than the manifest gives it', async () => {
    const proxy = await stage.started();
    rig.log.print('ready');
    expect(await text(await stage.begin(proxy, LOG))).to.equal('ready\n');
    const session = http2.connect(`https://127.0.0.1:${proxy.port}`, { ca: apiServer.certificateAuthority });
    expect(await text(session.request({ ':path': LOG, ...stage.as('admin') }))).to.equal('ready\n');
    session.destroy();
    expect(await text(await stage.begin(proxy, '/api/v1/nodes/node-1/proxy/healthz'))).to.equal('ok');
    const refused = await stage.begin(proxy, LOG, 'guest');
    expect([refused.statusCode, await text(refused)]).to.satisfy(
      ([status, body]: [number, string]) => status === 403 && body.includes('cannot get resource'),
    );
  });

  it('shows how the tunnels fare', async () => {
    const { status } = await stage.started();
    for (const path of ['/healthz', '/metrics', '/'])
      expect((await fetch(`${status}${path}`, { headers: { connection: 'close' } })).status).to.equal(200);
  });

  it('logs each request on a line that has neither a query nor a token, and that nobody can forge', async () => {
    const proxy = await stage.started();
    await text(await stage.begin(proxy, `${LOG}?tailLines=1&secret=of-mine`));
    await text(await stage.begin(proxy, '/a%0a{"user":"forged"}%1b[31m'));
    proxy.child.kill('SIGTERM');
    const { errors, code } = await proxy.ended;
    expect(code).to.equal(0);
    const lines = errors.split('\n').filter((line) => line.startsWith('{'));
    const entries = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(entries.map(({ method, path, status }) => [method, path, status])).to.deep.equal([
      ['GET', LOG, 200],
      ['GET', '/a%0a{"user":"forged"}%1b[31m', 404],
    ]);
    expect(errors).to.not.include('of-mine').and.not.include(apiServer.tokenOf('admin'));
    expect(errors).to.not.include(apiServer.tokenOf(PROXY));
  });

  it('takes options from the command line before those of the environment, and those before its file', async () => {
    config.quiet = false;
    config.upstream = 'https://127.0.0.1:1';
    config.user = 'nobody';
    const { errors, code } = await run(['--drain', 'x'], { APISERVER_PROXY_DRAIN: 'y' });
    expect([code, errors]).to.satisfy(
      ([, said]: [number, string]) => said.includes('--drain must be') && said.includes('"x"'),
    );
    const environment = { APISERVER_PROXY_UPSTREAM: apiServer.url, APISERVER_PROXY_USER: 'wrong' };
    const proxy = await stage.started(['--user', 'tunnel', '--quiet'], { environment });
    rig.log.print('ready');
    expect(await text(await stage.begin(proxy, LOG))).to.equal('ready\n');
    proxy.child.kill('SIGTERM');
    expect((await proxy.ended).errors).to.not.include('{');
  });

  it('shows another certificate when the files change', async () => {
    const { port } = await stage.started();
    const shown = async (): Promise<string> => {
      const socket = connect({ host: '127.0.0.1', port, ca: apiServer.certificateAuthority });
      await once(socket, 'secureConnect');
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const before = await shown();
    await stage.renewCertificate();
    while ((await shown()) === before);
  });

  it('lets what is under way go on after SIGTERM, takes no more, and ends with exit code 0 when it is over', async () => {
    const proxy = await stage.started();
    rig.log.print('first');
    const following = await stage.begin(proxy, `${LOG}?follow=true`);
    expect((await read(following, 6)).toString()).to.equal('first\n');
    const stops = firstMatch(proxy.child.stderr ?? proxy.stdout, /stops; 1 requests may go on for 600 s/);
    proxy.child.kill('SIGTERM');
    await stops;
    expect(await rejection(stage.begin(proxy, LOG))).to.have.property('code', 'ECONNREFUSED');
    rig.log.print('second');
    expect((await read(following, 7)).toString()).to.equal('second\n');
    rig.log.end();
    expect(await text(following)).to.equal('');
    expect((await proxy.ended).code).to.equal(0);
    await rig.ssh.until(({ connections }) => connections === 0);
  });

  it('lets a slow client of HTTP/2 take all of its answer after SIGTERM, also what has been said already', async () => {
    const line = 'x'.repeat(999);
    for (let written = 0; written < 20_000; written += 1) rig.log.print(line);
    const proxy = await stage.started();
    // Its window is wide, so that much of the answer is on its way when the last of it has been said.
    const slow = spawn('curl', [
      ...['-sSk', '--http2', '--noproxy', '*', '--limit-rate', '8M', '--max-time', '15'],
      ...['-H', `Authorization: ${stage.as('admin').authorization ?? ''}`],
      `https://127.0.0.1:${proxy.port}${LOG}`,
    ]);
    rig.onEnd(() => slow.kill());
    const ended = once(slow, 'exit');
    let bytes = 0;
    const begun = new Promise<void>((resolve) => {
      slow.stdout.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        resolve();
      });
    });
    await begun;
    proxy.child.kill('SIGTERM');
    expect(await ended).to.deep.equal([0, null]);
    expect(bytes).to.equal(20_000_000);
    expect((await proxy.ended).code).to.equal(0);
  });

  it('cuts what is under way when --drain is over, and ends with exit code 0', async () => {
    const proxy = await stage.started(['--drain', '0']);
    rig.log.print('first');
    const following = await stage.begin(proxy, `${LOG}?follow=true`);
    await read(following, 6);
    proxy.child.kill('SIGTERM');
    expect(await rejection(text(following))).to.be.an('error');
    expect((await proxy.ended).code).to.equal(0);
  });

  async function run(argv: readonly string[], environment: Record<string, string> = {}) {
    const host = new CommandHost('apiserverProxy');
    rig.onEnd(() => host.end());
    const file = await stage.configFile();
    return host.run(['--config', file, ...argv], environment);
  }

  it('says when the nodes cannot be read, and reads them later', async () => {
    const nodes = readFileSync(rig.path('nodes.yaml'), 'utf8');
    await rig.file('nodes.yaml', 'nodes: 3');
    const proxy = await stage.started([], { isReady: false });
    const status = async (): Promise<number | undefined> => {
      const answer = await stage.begin(proxy, LOG);
      await text(answer);
      return answer.statusCode;
    };
    expect(await status()).to.be.at.least(500);
    await rig.file('nodes.yaml', nodes);
    while ((await status()) !== 200);
    proxy.child.kill('SIGTERM');
    expect((await proxy.ended).errors).to.match(
      /^apiserver-proxy: .*cannot read the nodes in .*nodes\.yaml/m,
    );
  });

  it('says in one line how it is used wrongly', async () => {
    const host = new CommandHost('apiserverProxy');
    rig.onEnd(() => host.end());
    const file = await stage.configFile();
    const broken = await rig.file('broken.yaml', 'drian: 3');
    const ofCluster = await rig.file('of-cluster.yaml', stringify({ ...config, nodes: undefined }));
    const wrong: [string[], RegExp][] = [
      [[], /--tls-cert and --tls-key are missing/],
      [['--config', '/nonexistent'], /--config: ENOENT/],
      [['--config', broken], /there is no option drian/],
      [['--config', file, 'x'], /nothing but options/],
      [['--config', file, '--tls-cert=/nonexistent'], /--tls-cert cannot read/],
      [['--config', file, `--tls-key=${broken}`], /--tls-key .*no private key/],
      [['--config', file, '--client-ca=/nonexistent'], /--client-ca cannot read/],
      [['--config', file, `--client-ca=${broken}`], /--client-ca .*has no certificate in it/],
      [['--config', file, '--upstream=http://x'], /--upstream must be an https URL/],
      [['--config', ofCluster, '--upstream=http://x'], /--upstream must be an https URL/],
      [['--config', file, '--upstream-token-file=/nonexistent'], /--upstream-token-file cannot read/],
      [['--config', file, '--upstream-ca=/nonexistent'], /--upstream-ca cannot read/],
      [['--config', file, '--kubelet-ca=/nonexistent'], /--kubelet-ca cannot read/],
      [['--config', file, `--kubelet-key=${broken}`], /--kubelet-key .*no private key/],
      [['--config', file, '--kubelet-insecure-skip-tls-verify'], /--kubelet-ca is needed, or .*not both/],
      [['--config', file, '--kubeconfig=x'], /--kubeconfig and --nodes exclude/],
      [['--config', file, '--listen=8443'], /--listen must be ADDRESS, .*got "8443"/],
      [['--config', file, '--lookups-as=me'], /--lookups-as must be proxy or caller/],
    ];
    for (const [argv, said] of wrong) {
      const { code, errors, output } = await host.run(argv);
      expect(errors)
        .to.match(said)
        .and.match(/^apiserver-proxy: [^\n]*\n$/);
      expect([code, output]).to.deep.equal([2, '']);
    }
  });

  it('ends with exit code 1 when its port is taken, and with nothing left open', async () => {
    const { port } = await stage.started();
    const { ended, stdout } = rig.spawn('apiserver-proxy.ts', [
      ...['--config', rig.path('config.yaml'), '--listen', `127.0.0.1:${port}`],
    ]);
    stdout.resume();
    const { code, errors } = await ended;
    expect(code).to.equal(1);
    expect(errors).to.match(/^apiserver-proxy: .*EADDRINUSE.*; take another port\n$/);
  });

  it('is told in the manifest nothing that it does not know, and all that it needs', async () => {
    const { data = {} } = manifest().find(({ kind }) => kind === 'ConfigMap') ?? {};
    const options = optionsIn(await rig.file('manifest.yaml', data['config.yaml'] ?? ''), OPTIONS);
    const environment = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
    const line = new CommandLine('apiserver-proxy', [], OPTIONS, environment);
    line.setDefaults(options);
    const settings = settingsFrom(line);
    expect(settings.upstream.server).to.equal('https://10.96.0.1:443');
    expect(settings.listen).to.deep.equal({ host: '0.0.0.0', port: 8443 });
    expect(HELP).to.include('--config');
  });

  withKubectl(`has a manifest that kubectl takes`, () => {
    // Of what needs no cluster, this reads each object by its schema.
    const argv = ['label', '--local', '-f', 'examples/deploy/apiserver-proxy.yaml', 'read=yes', '-o', 'name'];
    const environment = { ...process.env, KUBECONFIG: rig.path('none') };
    const objects = execFileSync(kubectl ?? '', argv, { env: environment, encoding: 'utf8' });
    expect(objects.trim().split('\n')).to.have.length(manifest().length);
    expect(objects).to.include('deployment.apps/apiserver-proxy');
  });

  withKubectl(`lets an exec go on after SIGTERM`, async () => {
    const proxy = await stage.started();
    const kubeconfig = await rig.file(
      'kubeconfig',
      apiServer.kubeconfig('admin', `https://127.0.0.1:${proxy.port}`),
    );
    const argv = ['exec', '-i', 'web', '--', 'sh', '-c', 'echo begun; read line; echo "got $line"; exit 42'];
    const child = spawn(kubectl ?? '', argv, { env: { ...process.env, KUBECONFIG: kubeconfig } });
    rig.onEnd(() => child.kill('SIGKILL'));
    expect((await read(child.stdout, 6)).toString()).to.equal('begun\n');
    const stops = firstMatch(proxy.child.stderr ?? proxy.stdout, /stops; 1 requests/);
    proxy.child.kill('SIGTERM');
    await stops;
    const closed = once(child, 'close') as Promise<[number]>;
    child.stdin.end('it\n');
    const said = await text(child.stdout);
    const [code] = await closed;
    expect([said, code]).to.deep.equal(['got it\n', 42]);
    expect((await proxy.ended).code).to.equal(0);
  });
});

describe('examples: apiserver-demo', () => {
  let rig: Rig;
  beforeEach(async () => (rig = await Rig.start()));
  afterEach(() => rig.end());

  withKubectl(`tries everything with --once, and ends with exit code 0`, async () => {
    const environment = { PATH: process.env.PATH ?? '' };
    const { stdout, ended } = rig.spawn('apiserver-demo.ts', ['--once'], { environment });
    const shown = await text(stdout);
    expect(await ended, shown).to.deep.equal({ code: 0, errors: '' });
    expect(shown).to.include('Tried with kubectl').and.include('exit code 42');
  });

  it('tries with --once what it can without kubectl, and ends with exit code 0', async () => {
    await mkdir(rig.path('bin'));
    for (const name of ['sh', 'sleep']) await symlink(findProgram(name) ?? '', join(rig.path('bin'), name));
    const environment = { PATH: rig.path('bin') };
    const { stdout, ended } = rig.spawn('apiserver-demo.ts', ['--once'], { environment });
    const shown = await text(stdout);
    expect(await ended, shown).to.deep.equal({ code: 0, errors: '' });
    expect(shown).to.include('Tried without kubectl').and.include('GET /api/v1/nodes/node-2/proxy/healthz');
  });

  it('stays until Ctrl-C, and leaves no file behind', async () => {
    await mkdir(rig.path('tmp'));
    const environment = { TMPDIR: rig.path('tmp') };
    const { child, stdout, ended } = rig.spawn('apiserver-demo.ts', [], { environment });
    const [, file = ''] = await firstMatch(stdout, /export KUBECONFIG=(\S+)[^]*Ctrl-C/);
    expect(JSON.parse(readFileSync(file, 'utf8'))).to.have.property('kind', 'Config');
    child.kill('SIGINT');
    expect(await ended).to.deep.equal({ code: 130, errors: '' });
    expect(() => readFileSync(file)).to.throw('ENOENT');
  });
});
