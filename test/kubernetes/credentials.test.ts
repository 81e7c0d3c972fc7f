import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { inspect } from 'node:util';
import { createAuthority } from '../../lib/testing/certificates.js';
import { kubernetesNodes } from '../../lib/kubernetes/index.js';
import { accessTo } from '../../lib/kubernetes/cluster-access.js';
import { followNodes } from '../../lib/kubernetes/follow-nodes.js';
import { ADDRESS_TYPES } from '../../lib/kubernetes/node-spec.js';
import { until } from '../support/dialer.js';
import { isAlive, processTable } from '../support/processes.js';
import { nodeOf, Stage } from './stage.js';

const base64 = (text: string): string => Buffer.from(text).toString('base64');

describe('kubernetesNodes: credentials', () => {
  let stage: Stage;
  /** What the tests change of the environment. */
  const env = ['HOME', 'KUBECONFIG', 'KUBERNETES_SERVICE_HOST', 'KUBERNETES_SERVICE_PORT'].map(
    (name) => [name, process.env[name]] as const,
  );

  beforeEach(async () => {
    stage = await Stage.start();
    stage.server.put(nodeOf('a'));
  });

  afterEach(async () => {
    for (const [name, value] of env) {
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    }
    await stage.end();
  });

  const kubeconfig = (user?: object, cluster?: object) =>
    stage.write('kubeconfig', stage.server.kubeconfig(user, cluster));

  it('needs no kubeconfig where it is told the API server and its files, which it reads again', async () => {
    const { authority, asked, port } = stage.server;
    const server = `https://127.0.0.1:${port}`;
    const { certificate, privateKey } = authority.issue({ commonName: 'control-plane', purpose: 'client' });
    await stage.write('ca.pem', authority.certificate);
    await stage.write('cert.pem', certificate);
    await stage.write('key.pem', privateKey);
    await stage.write('token', 'wrong\n');
    const path = (name: string): string => join(stage.folder, name);
    const caFile = path('ca.pem');
    const fast = { retryMinMs: 1, retryMaxMs: 1 };
    const byToken = stage.keep(
      kubernetesNodes({ cluster: { server: `${server}/`, caFile, tokenFile: path('token') }, ...fast }),
    );
    expect(await byToken.next()).to.match(/^Error: .*401/);
    await stage.write('token', 'good\n');
    while ((await byToken.next()) !== 'a');
    const files = { server, caFile, certFile: path('cert.pem'), keyFile: path('key.pem') };
    expect(await stage.keep(kubernetesNodes({ cluster: files, ...fast })).next()).to.equal('a');
    expect(asked.findLast(({ kind }) => kind === 'list')).to.include({ client: 'control-plane' });
    const stranger = { ...files, caFile: path('cert.pem') };
    const refused = await stage.keep(kubernetesNodes({ cluster: stranger, ...fast })).next();
    expect(refused).to.match(/^Error: cannot ask the API at .*certificate/);
  });

  it('shows a client certificate, given in the kubeconfig or as files beside it', async () => {
    const { authority, asked } = stage.server;
    const { certificate, privateKey } = authority.issue({ commonName: 'control-plane', purpose: 'client' });
    await kubeconfig({
      'client-certificate-data': base64(certificate),
      'client-key-data': base64(privateKey),
    });
    expect(await stage.followAsIs().next()).to.equal('a');
    await stage.write('cert.pem', certificate);
    await stage.write('key.pem', privateKey);
    await stage.write('ca.pem', authority.certificate);
    await kubeconfig(
      { 'client-certificate': 'cert.pem', 'client-key': 'key.pem' },
      { 'certificate-authority-data': undefined, 'certificate-authority': 'ca.pem' },
    );
    expect(await stage.followAsIs().next()).to.equal('a');
    expect(asked.filter(({ kind }) => kind === 'list').map(({ client }) => client)).to.deep.equal([
      'control-plane',
      'control-plane',
    ]);
  });

  it('sends a bearer token, and the one that replaces it when it has expired', async () => {
    const { server } = stage;
    const followed = await stage.follow();
    expect(await followed.next()).to.equal('a');
    expect(server.asked[0]).to.include({ authorization: 'Bearer good', client: undefined });
    const next = followed.next();
    await server.request('watch');
    server.tokens.clear();
    server.tokens.add('better');
    server.endWatches();
    expect(await next).to.match(
      /^Error: the API answers 401: Unauthorized \(it does not know us: check the token/,
    );
    await kubeconfig({ token: 'better' });
    let update = await followed.next();
    while (update.includes('401')) update = await followed.next();
    expect(update).to.equal('a');
  });

  it('sends the token of a tokenFile beside the kubeconfig rather than one in it, and reads it for each request', async () => {
    const { server } = stage;
    await stage.write('token', ' good\r\n');
    await kubeconfig({ tokenFile: 'token', token: 'old' });
    const followed = stage.followAsIs();
    expect(await followed.next()).to.equal('a');
    const next = followed.next();
    await server.request('watch');
    expect(server.asked.map(({ authorization }) => authorization)).to.deep.equal([
      'Bearer good',
      'Bearer good',
    ]);
    server.tokens.clear();
    server.tokens.add('rotated');
    await stage.write('token', 'rotated');
    server.endWatches();
    expect((await server.request('watch', 2)).authorization).to.equal('Bearer rotated');
    server.put(nodeOf('b'));
    expect(await next).to.equal('a,b');
  });

  it('finds the tokenFile of the user in use, in whichever of several kubeconfig files has that user', async () => {
    const { server } = stage;
    const users = (name: string, tokenFile: string) => ({ users: [{ name, user: { tokenFile } }] });
    const whole = JSON.parse(server.kubeconfig()) as object;
    const write = (name: string, content: object) => stage.write(name, JSON.stringify(content));
    await mkdir(join(stage.folder, '.kube'));
    await write('one', { ...whole, ...users('other', 'bad') });
    await write('two', users('u', 'token'));
    await write('.kube/config', { ...whole, ...users('u', '../token') });
    await stage.write('token', 'good');
    await stage.write('bad', 'bad');
    process.env.KUBECONFIG = ['one', 'two'].map((name) => join(stage.folder, name)).join(delimiter);
    expect(await stage.followAsIs({ kubeconfig: undefined }).next()).to.equal('a');
    process.env.KUBECONFIG = '';
    process.env.HOME = stage.folder;
    expect(await stage.followAsIs({ kubeconfig: undefined }).next()).to.equal('a');
  });

  it('names a tokenFile that has no token, waits for none, and asks nothing without one', async () => {
    const { asked } = stage.server;
    const path = join(stage.folder, 'token');
    const failureOf = async (tokenFile: unknown = path): Promise<string> => {
      await kubeconfig({ tokenFile });
      return stage.followAsIs().next();
    };
    expect(await failureOf()).to.include(`cannot read its tokenFile ${path} (ENOENT)`);
    for (const text of ['', '\n', 'hunter2\r\nX-Evil: 1', 'hunter 2', 'hunter²']) {
      await stage.write('token', text);
      expect(await failureOf())
        .to.include(`its tokenFile ${path} holds no token`)
        .and.not.include('hunter');
    }
    await stage.write('token', 'x'.repeat(2 ** 17));
    expect(await failureOf()).to.include(`cannot read its tokenFile ${path} (it is longer than 65536 bytes)`);
    await rm(path);
    execFileSync('mkfifo', [path]);
    expect(await failureOf()).to.include(`cannot read its tokenFile ${path} (it is not a regular file)`);
    expect(await failureOf({})).to.include('its tokenFile is no path');
    expect(asked).to.deep.equal([]);
  });

  it('sends what an exec plugin prints', async () => {
    const status = { token: 'good', expirationTimestamp: '2999-01-01T00:00:00Z' };
    const printed = JSON.stringify({ kind: 'ExecCredential', status });
    const exec = { apiVersion: 'client.authentication.k8s.io/v1', command: 'echo', args: [printed] };
    await kubeconfig({ exec });
    expect(await stage.followAsIs().next()).to.equal('a');
  });

  it('ends an exec plugin that hangs', async () => {
    await kubeconfig({ exec: { command: 'sleep', args: ['1000'] } });
    const message = 'Error: the API did not list the nodes within 100 ms';
    const followed = stage.followAsIs({ listTimeoutMs: 100 });
    // That none is left, the hook after the last test sees.
    expect(await followed.next()).to.equal(message);
    expect(await followed.next()).to.equal(message);
  });

  it('ends an exec plugin that does not want to, and what it has started', async () => {
    const pids = join(stage.folder, 'pids');
    const script = `trap '' TERM; sleep 1000 & echo "$$ $!" > '${pids}.new'; mv '${pids}.new' '${pids}'; wait`;
    await kubeconfig({ exec: { command: 'sh', args: ['-c', script] } });
    const stop = new AbortController();
    const source = kubernetesNodes({ kubeconfig: stage.kubeconfig });
    const following = source.follow(stop.signal)[Symbol.asyncIterator]().next();
    await until('the plugin', () => existsSync(pids));
    const started = (await readFile(pids, 'utf8')).split(' ').map(Number);
    const running = () => processTable().filter(({ pid }) => started.includes(pid));
    const [plugin, child] = running();
    stop.abort();
    await following;
    for (const each of [plugin, child]) await until('its end', () => !isAlive(processTable(), each!));
  });

  it('uses the service account of its pod, and its token when that was rotated', async () => {
    const { server } = stage;
    const folder = join(stage.folder, 'var/run/secrets/kubernetes.io/serviceaccount');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'ca.crt'), server.authority.certificate);
    await writeFile(join(folder, 'token'), 'good\n');
    process.env.KUBERNETES_SERVICE_HOST = '127.0.0.1';
    process.env.KUBERNETES_SERVICE_PORT = String(server.port);
    const access = accessTo({ kind: 'in-cluster', name: 'this cluster', root: stage.folder });
    const options = {
      addressTypes: ADDRESS_TYPES,
      annotations: true,
      bastions: [],
      labelSelector: undefined,
      listTimeoutMs: 10_000,
      silenceMs: 10_000,
      retryMinMs: 1,
      retryMaxMs: 1,
    };
    const source = { name: 'x', follow: (signal: AbortSignal) => followNodes(access, options, signal) };
    const followed = stage.keep(source);
    expect(await followed.next()).to.equal('a');
    const next = followed.next();
    await server.request('watch');
    server.tokens.clear();
    server.tokens.add('rotated');
    await writeFile(join(folder, 'token'), 'rotated\n');
    server.cutWatches();
    expect(await next).to.match(/^Error/);
    expect(await followed.next()).to.equal('a');
    expect(server.asked.at(-1)).to.include({ authorization: 'Bearer rotated' });
  });

  it('says so when it runs in no pod, and reads nothing before it is followed', async () => {
    delete process.env.KUBERNETES_SERVICE_HOST;
    const source = kubernetesNodes({ inCluster: true });
    expect(source.name).to.equal('cluster of this pod');
    expect(await stage.keep(source).next()).to.equal(
      'Error: cannot use the cluster of this pod: KUBERNETES_SERVICE_HOST is not set: this is no pod of a cluster',
    );
  });

  it('takes the kubeconfig that KUBECONFIG names, or says that there is none', async () => {
    await kubeconfig();
    process.env.KUBECONFIG = stage.kubeconfig;
    expect(await stage.followAsIs({ kubeconfig: undefined }).next()).to.equal('a');
    process.env.KUBECONFIG = '';
    process.env.HOME = stage.folder;
    expect(await stage.followAsIs({ kubeconfig: undefined }).next()).to.equal(
      'Error: cannot use the cluster of the default kubeconfig: there is none: KUBECONFIG is not set, and ~/.kube/config does not exist',
    );
  });

  it('uses the context asked for, and says which there are', async () => {
    await kubeconfig();
    const source = kubernetesNodes({ kubeconfig: stage.kubeconfig, context: 'here' });
    expect(source.name).to.equal(`cluster of ${stage.kubeconfig}, context here`);
    expect(await stage.keep(source).next()).to.equal('a');
    expect(await stage.followAsIs({ context: 'there' }).next()).to.include('no context there; it knows here');
  });

  it('says what a context is for that the kubeconfig does not have', async () => {
    const content = stage.server.kubeconfig();
    await stage.write('kubeconfig', content.replace('"cluster":"c"', '"cluster":"other"'));
    expect(await stage.followAsIs().next()).to.match(
      /its context here is for a cluster other, which it does not/,
    );
    await stage.write('kubeconfig', content.replace('"user":"u"', '"user":"other"'));
    expect(await stage.followAsIs().next()).to.match(
      /its context here is for a user other, which it does not/,
    );
  });

  for (const server of ['10.0.0.1:6443', 'api.example', 'ftp://api.example']) {
    it(`says that ${server} is no server to ask`, async () => {
      await kubeconfig(undefined, { server });
      expect(await stage.followAsIs().next()).to.match(
        /^Error: cannot use the cluster of .*: the server of its cluster c must be a URL such as https:/,
      );
    });
  }

  it('does not talk to a server whose certificate another authority has issued', async () => {
    const other = createAuthority('somebody else').certificate;
    await kubeconfig(undefined, { 'certificate-authority-data': base64(other) });
    expect(await stage.followAsIs().next()).to.match(/^Error: .*(certificate|issuer)/);
    expect(stage.server.asked).to.deep.equal([]);
  });

  it('asks a server below a path, and by the name that its certificate has to be for', async () => {
    await kubeconfig(undefined, { server: `https://127.0.0.1:${stage.server.port}/k8s/clusters/c-1/` });
    expect(await stage.followAsIs().next()).to.match(
      /^Error: the API answers 404: no \(is that the address of an API server/,
    );
    await kubeconfig(undefined, { 'tls-server-name': 'other.example' });
    expect(await stage.followAsIs().next()).to.match(/^Error: .*altnames/);
  });

  it('goes on when a kubeconfig that was missing is there', async () => {
    const followed = stage.followAsIs();
    expect(await followed.next()).to.match(/^Error: cannot use the cluster of .*ENOENT/);
    await kubeconfig();
    let update = await followed.next();
    while (update.startsWith('Error')) update = await followed.next();
    expect(update).to.equal('a');
  });

  describe('shows no secret', () => {
    const SECRET = 'hunter2';
    const plugin = (script: string) => ({ exec: { command: 'sh', args: ['-c', script] } });

    for (const [what, content] of [
      ['a kubeconfig that is not YAML', () => `users:\n- token: ${SECRET}\n\t- name: x\n`],
      ['a kubeconfig that is only a token', () => SECRET],
      ['a kubeconfig without a user', (at: Stage) => at.server.kubeconfig().replace('"u"', '"other"')],
      ['a key that is none', (at: Stage) => at.server.kubeconfig({ 'client-key-data': base64(SECRET) })],
      [
        'a token that no header may have',
        (at: Stage) => at.server.kubeconfig({ token: `${SECRET}\n\u0001` }),
      ],
      ['a wrong token', (at: Stage) => at.server.kubeconfig({ token: SECRET })],
      ['a wrong password', (at: Stage) => at.server.kubeconfig({ username: 'x', password: SECRET })],
      ['a plugin that prints no JSON', (at: Stage) => at.server.kubeconfig(plugin(`echo ${SECRET}`))],
      ['a plugin that prints no status', (at: Stage) => at.server.kubeconfig(plugin(`echo '"${SECRET}"'`))],
      [
        'a plugin that is not there',
        (at: Stage) => at.server.kubeconfig({ exec: { command: '/nowhere/x' } }),
      ],
    ] as const) {
      it(`of ${what}`, async () => {
        await stage.write('kubeconfig', content(stage));
        const update = await stage.followAsIs().nextUpdate();
        expect(update).to.be.instanceOf(Error);
        const { message } = update as Error;
        expect(inspect(update, { depth: 9, showHidden: true }))
          .to.not.include(SECRET)
          .and.not.include(base64(SECRET));
        expect(message).to.match(
          /^(cannot use the cluster of|no credentials for the cluster of|cannot ask the API|the API answers 401)/,
        );
      });
    }

    it('of a plugin that fails and says nothing', async () => {
      await kubeconfig(plugin('exit 1'));
      expect(await stage.followAsIs().next()).to.match(
        /^Error: no credentials for .*: its plugin failed, and does not say why$/,
      );
    });

    it('but what a plugin complains of', async () => {
      await kubeconfig(plugin('echo please log in first >&2; exit 1'));
      expect(await stage.followAsIs().next()).to.match(/^Error: no credentials for .*: please log in first$/);
    });
  });
});
