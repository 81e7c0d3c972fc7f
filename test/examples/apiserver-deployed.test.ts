import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { stringify } from 'yaml';
import { requestInfo } from '../../lib/testing/api-server/request-info.js';
import {
  createAuthority,
  type Authority,
  type ApiObject,
  type ApiServer,
  type KeyAndCertificate,
} from '../../lib/testing/index.js';
import {
  ApiserverStage,
  LOG,
  manifest,
  NODE_ADDRESS,
  PROXY,
  rulesOf,
  saidBy,
  type Proxy,
} from './apiserver-stage.js';
import { refusedEndpoint } from '../support/endpoints.js';
import { CommandHost } from './rig.js';
import { firstMatch } from './script.js';

const shown = ({ certificate, privateKey }: KeyAndCertificate) => ({ cert: certificate, key: privateKey });

const DEFAULT = '/api/v1/namespaces/default';

const SERVICE: readonly ApiObject[] = [
  {
    kind: 'Service',
    metadata: { name: 'shop' },
    spec: { clusterIP: '10.96.0.9', ports: [{ port: 80, targetPort: 8080 }] },
  },
  {
    kind: 'EndpointSlice',
    metadata: { name: 'shop-1', labels: { 'kubernetes.io/service-name': 'shop' } },
    addressType: 'IPv4',
    ports: [{ name: '', port: 8080 }],
    endpoints: [{ addresses: ['10.2.0.5'], conditions: { ready: true } }],
  },
  {
    kind: 'Endpoints',
    metadata: { name: 'shop' },
    subsets: [{ addresses: [{ ip: '10.2.0.5' }], ports: [{ port: 8080 }] }],
  },
];

describe('examples: apiserver-proxy, deployed', () => {
  let stage: ApiserverStage | undefined;
  afterEach(() => stage?.rig.end());

  async function set(...options: Parameters<typeof ApiserverStage.start>): Promise<ApiserverStage> {
    stage = await ApiserverStage.start(...options);
    return stage;
  }

  /** The node as the upstream has it: what is in its annotations is for who believes them. */
  function register(
    { apiServer }: ApiserverStage,
    annotations: Record<string, string>,
    address = '127.0.0.1',
  ): void {
    const addresses = [
      { type: 'Hostname', address: address === NODE_ADDRESS ? 'node-1.example' : NODE_ADDRESS },
      { type: 'InternalIP', address },
    ];
    apiServer.put({ kind: 'Node', metadata: { name: 'node-1', annotations }, status: { addresses } });
  }

  const annotated = ({ rig }: ApiserverStage) => ({ 'tunnel-dialer/ssh-port': String(rig.ssh.spec.port) });

  async function untilReady({ status }: Proxy): Promise<void> {
    while ((await readiness(status)) !== 200);
  }

  async function readiness(status: string): Promise<number> {
    return (await fetch(`${status}/readyz`, { headers: { connection: 'close' } })).status;
  }

  /** The rights of RBAC that requests needed, as `verb resource`. */
  function usedOf({ requests }: ApiServer): string[] {
    const used = requests.flatMap(({ method, url, user, as, headers }) => {
      if (user !== PROXY) return [];
      if (as !== PROXY)
        return ['impersonate users', ...(headers['impersonate-group'] ? ['impersonate groups'] : [])];
      const [path = '', query] = url.split('?');
      const info = requestInfo(method, path, new URLSearchParams(query));
      return info.kind === 'resource' ? [`${info.verb} ${info.resource}`] : [`${info.verb} ${info.path}`];
    });
    return [...new Set(used)].sort();
  }

  const grantedBy = (hasClientCa: boolean): string[] =>
    rulesOf(manifest({ hasClientCa }))
      .flatMap(({ verbs, resources = [] }) =>
        verbs.flatMap((verb) => resources.map((each) => `${verb} ${each}`)),
      )
      .sort();

  for (const hasClientCa of [false, true]) {
    const which = hasClientCa ? 'with' : 'without';
    it(`needs every right that the manifest gives, and no other, ${which} client-ca`, async () => {
      const used: string[] = [];
      // Clusters without EndpointSlices have Endpoints.
      for (const endpointSlices of [true, false]) {
        const own = await set({ rules: rulesOf(manifest({ hasClientCa })), endpointSlices });
        const { rig, apiServer, config } = own;
        for (const object of SERVICE)
          if (endpointSlices || object.kind !== 'EndpointSlice') apiServer.put(object);
        delete config.nodes;
        register(own, annotated(own));
        if (hasClientCa) config['client-ca'] = await rig.file('client.ca', apiServer.certificateAuthority);
        const proxy = await own.started(['--node-annotations']);
        await untilReady(proxy);
        rig.log.print('ready');
        const admin = hasClientCa ? shown(apiServer.clientCertificate('admin', 'system:masters')) : 'admin';
        expect(await text(await own.begin(proxy, LOG, admin))).to.equal('ready\n');
        // There is nobody at the endpoint, but it was looked up.
        const { statusCode } = await own.begin(proxy, `${DEFAULT}/services/shop/proxy/`, admin);
        expect(statusCode).to.equal(503);
        expect((await own.begin(proxy, `${DEFAULT}/pods`, admin)).statusCode).to.equal(200);
        used.push(...usedOf(apiServer));
        await rig.end();
      }
      expect([...new Set(used)].sort()).to.deep.equal(grantedBy(hasClientCa));
    });
  }

  it('knows users of client certificates, and their groups, and lets nobody be somebody else', async () => {
    const own = await set({
      rules: [
        ...rulesOf(manifest({ hasClientCa: true })),
        { subjects: ['devs'], verbs: ['get'], resources: ['pods/log', 'pods'], namespaces: ['default'] },
      ],
    });
    const clients = createAuthority('clients');
    const of = (commonName: string, organization?: string, authority = clients) =>
      shown(authority.issue({ commonName, organization, purpose: 'client' }));
    own.config['client-ca'] = await own.rig.file('clients.crt', clients.certificate);
    const proxy = await own.started();
    own.rig.log.print('ready');
    const ask = async (path: string, options: RequestOptions) => {
      const answer = await own.begin(proxy, path, options);
      return [answer.statusCode, await text(answer)] as const;
    };
    expect(await ask(LOG, of('alice', 'devs'))).to.deep.equal([200, 'ready\n']);
    const [status, said] = await ask(LOG, of('mallory'));
    expect(status).to.equal(403);
    expect(said).to.include('User \\"mallory\\" cannot get resource \\"pods/log\\"');
    // What is not for a node is the upstream's, in their name.
    expect((await ask(`${DEFAULT}/pods/web`, of('alice', 'devs')))[0]).to.equal(200);
    expect((await ask(`${DEFAULT}/pods/web`, of('mallory')))[0]).to.equal(403);
    const asked = own.apiServer.requests.filter(({ url }) => url.endsWith('/pods/web')).slice(-2);
    expect(asked.map(({ user, as }) => [user, as])).to.deep.equal([
      [PROXY, 'alice'],
      [PROXY, 'mallory'],
    ]);
    for (const path of [LOG, '/version']) {
      const claim = { ...of('alice', 'devs'), headers: { 'Impersonate-User': 'admin' } };
      expect((await ask(path, claim))[0], path).to.equal(403);
    }
    expect((await ask(LOG, of('alice', 'devs', createAuthority('others'))))[0]).to.equal(401);
    proxy.child.kill('SIGTERM');
    expect((await proxy.ended).errors).to.match(/"user":"alice"/);
  });

  it('judges by the client-ca and the upstream-ca that are there now', async () => {
    const own = await set({
      rules: [
        ...rulesOf(manifest({ hasClientCa: true })),
        { subjects: ['devs'], verbs: ['list'], resources: ['pods'] },
      ],
    });
    const [before, after] = [createAuthority('before'), createAuthority('after')];
    const of = (authority: Authority) =>
      shown(authority.issue({ commonName: 'alice', organization: 'devs', purpose: 'client' }));
    own.config['client-ca'] = await own.rig.file('clients.crt', before.certificate);
    await own.rig.file('upstream.crt', before.certificate);
    const proxy = await own.started();
    const ask = async (authority: Authority) =>
      (await own.begin(proxy, `${DEFAULT}/pods`, of(authority))).statusCode;
    expect(await ask(before)).to.equal(503);
    const reread = firstMatch(saidBy(proxy), /upstream\.crt: in use as they are now/);
    await own.rig.file('upstream.crt', own.apiServer.certificateAuthority);
    while ((await ask(before)) !== 200);
    await reread;
    expect(await ask(after)).to.equal(401);
    await own.rig.file('clients.crt', after.certificate);
    while ((await ask(after)) !== 200);
    expect(await ask(before)).to.equal(401);
    const broken = firstMatch(saidBy(proxy), /: --client-ca .* has no certificate .*what was read before/);
    await own.rig.file('clients.crt', 'nothing');
    await broken;
    expect(await ask(after)).to.equal(200);
  });

  it('follows the nodes of the upstream by its own client certificate, through a jump host', async () => {
    const own = await set();
    const { rig, apiServer, config } = own;
    const { address, port } = rig.ssh.spec;
    const bastion = await rig.node({
      redirect: (host, to) => (host === NODE_ADDRESS && to === 22 ? { host: address, port } : undefined),
    });
    const hostKey = rig.ssh.knownHostsLine.replace(/^\S+/, NODE_ADDRESS);
    await rig.file('known_hosts', `${hostKey}\n${bastion.knownHostsLine}\n`);
    // What anybody who may patch a Node can write there is not believed.
    const forged = {
      'tunnel-dialer/ssh-port': '1',
      'tunnel-dialer/ssh-host-key': `SHA256:${'A'.repeat(43)}`,
    };
    register(own, forged, NODE_ADDRESS);
    const { certificate, privateKey } = apiServer.clientCertificate(PROXY);
    delete config.nodes;
    delete config['upstream-token-file'];
    config['upstream-client-certificate'] = await rig.file('own.crt', certificate);
    config['upstream-client-key'] = await rig.file('own.key', privateKey);
    config.bastion = [`b=tunnel@127.0.0.1:${bastion.spec.port}`];
    config['kubelet-preferred-address-types'] = 'InternalIP,Hostname';
    const proxy = await own.started();
    await untilReady(proxy);
    rig.log.print('ready');
    expect(await text(await own.begin(proxy, LOG))).to.equal('ready\n');
    await bastion.until(({ connections }) => connections > 0);
  });

  it('is not ready after SIGTERM, and serves as before for --shutdown-delay', async () => {
    const own = await set();
    const proxy = await own.started(['--shutdown-delay', '600']);
    await untilReady(proxy);
    const told = firstMatch(saidBy(proxy), /is told to stop; serves for another 600 s/);
    proxy.child.kill('SIGTERM');
    await told;
    expect(await readiness(proxy.status)).to.equal(503);
    own.rig.log.print('ready');
    expect(await text(await own.begin(proxy, LOG))).to.equal('ready\n');
    proxy.child.kill('SIGTERM');
    expect((await proxy.ended).code).to.equal(143);
  });

  it('drains after --shutdown-delay, and ends with exit code 0', async () => {
    const own = await set();
    const proxy = await own.started(['--shutdown-delay', '1']);
    own.rig.log.print('first');
    const following = await own.begin(proxy, `${LOG}?follow=true`);
    const stops = firstMatch(saidBy(proxy), /stops; 1 requests may go on for 600 s/);
    proxy.child.kill('SIGTERM');
    await stops;
    own.rig.log.print('second');
    own.rig.log.end();
    expect(await text(following)).to.equal('first\nsecond\n');
    expect((await proxy.ended).code).to.equal(0);
  });

  it('starts while the upstream is down, and says in one line what it cannot do', async () => {
    const own = await set();
    delete own.config.nodes;
    own.config.upstream = `https://127.0.0.1:${(await refusedEndpoint()).port}`;
    const proxy = await own.started([], { isReady: false });
    expect(await readiness(proxy.status)).to.equal(503);
    const refused = await own.begin(proxy, LOG);
    expect(refused.statusCode).to.equal(503);
    expect(await text(refused)).to.include('ECONNREFUSED');
    proxy.child.kill('SIGTERM');
    expect((await proxy.ended).errors).to.match(
      /^apiserver-proxy: cluster at https:\/\/127\.0\.0\.1:\d+: cannot ask the API at .*ECONNREFUSED.*; is it up, and at --upstream\?.*$/m,
    );
  });

  it('says once, and with advice, that the upstream has a certificate of another authority', async () => {
    const own = await set();
    delete own.config.nodes;
    const other = createAuthority('other').issue({ commonName: 'other', altNames: ['127.0.0.1'] });
    const server = createServer({ cert: other.certificate, key: other.privateKey });
    let asked = 0;
    server.on('connection', () => (asked += 1));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    own.rig.onEnd(() => void server.close());
    own.config.upstream = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const proxy = await own.started([], { isReady: false });
    while (asked < 4) await once(server, 'connection');
    proxy.child.kill('SIGTERM');
    const { errors } = await proxy.ended;
    const said = errors.split('\n').filter((line) => line.includes('cannot ask the API'));
    expect(said).to.have.length(1);
    expect(said[0]).to.match(/certificate.*; --upstream-ca takes the authority of its certificate$/);
  });

  it('says that a kubelet has a certificate of another authority', async () => {
    const own = await set();
    await own.rig.file('ca.crt', createAuthority('other').certificate);
    const refused = await own.begin(await own.started(), LOG);
    expect([refused.statusCode, await text(refused)]).to.satisfy(
      ([status, said]: [number, string]) => status >= 500 && said.includes('certificate'),
    );
  });

  it('runs in its image as the user that the manifest names', () => {
    const dockerfile = readFileSync('examples/deploy/Dockerfile', 'utf8');
    const deployment = JSON.stringify(manifest().find(({ kind }) => kind === 'Deployment'));
    const [, user, group] = /^USER (\d+):(\d+)$/m.exec(dockerfile) ?? [];
    expect(deployment).to.include(`"runAsUser":${user},"runAsGroup":${group}`);
    const [, tag] = /--tag (\S+)/.exec(dockerfile) ?? [];
    expect(deployment).to.include(`"image":"${tag}"`);
    expect(dockerfile).to.match(/^EXPOSE 8443 9090$/m);
    expect(deployment).to.include('"containerPort":8443').and.include('"containerPort":9090');
  });

  it('runs from the one file that its image has', async () => {
    const own = await set();
    const program = own.rig.path('apiserver-proxy.mjs');
    const dockerfile = readFileSync('examples/deploy/Dockerfile', 'utf8');
    const [, script = ''] =
      /^RUN npm run (\S+) -- --outfile=\S+\/apiserver-proxy\.mjs$/m.exec(dockerfile) ?? [];
    execFileSync('npm', ['run', '--silent', script, '--', `--outfile=${program}`], { stdio: 'ignore' });
    delete own.config.nodes;
    register(own, annotated(own));
    const proxy = await own.started(['--node-annotations'], { program });
    await untilReady(proxy);
    own.rig.log.print('ready');
    expect(await text(await own.begin(proxy, LOG))).to.equal('ready\n');
    expect((await fetch(`${proxy.status}/metrics`, { headers: { connection: 'close' } })).status).to.equal(
      200,
    );
  });

  it('says in one line which options do not go together', async () => {
    const own = await set();
    const host = new CommandHost('apiserverProxy');
    own.rig.onEnd(() => host.end());
    const file = await own.configFile();
    const withoutToken = { ...own.config };
    delete withoutToken['upstream-token-file'];
    const bare = await own.rig.file('bare.yaml', stringify(withoutToken));
    const list = await own.rig.file('list.yaml', stringify({ ...own.config, bastion: [1] }));
    const wrong: [string[], RegExp][] = [
      [['--config', bare], /--upstream-token-file is missing, or --upstream-client-certificate/],
      [['--config', bare, '--upstream-client-key=x'], /--upstream-client-certificate and .* belong together/],
      [
        ['--config', file, '--upstream-client-key=x', '--upstream-client-certificate=x'],
        /--upstream-token-file and --upstream-client-certificate exclude/,
      ],
      [
        ['--config', bare, '--upstream-client-key=/x', '--upstream-client-certificate=/x'],
        /--upstream-client-certificate cannot read/,
      ],
      [['--config', file, '--context=x'], /--context belongs to --kubeconfig/],
      [['--config', file, '--node-annotations'], /--node-annotations and --nodes exclude/],
      [['--config', file, '--bastion=b=x'], /--bastion and --nodes exclude/],
      [['--config', file, '--bastion=x'], /--bastion must be NAME=ADDRESS/],
      [['--config', list], /bastion must be a text, or a list of them/],
      [['--config', file, '--kubelet-preferred-address-types=InternalIP,IP'], /knows Hostname, .* got "IP"/],
      [['--config', file, '--shutdown-delay=-1'], /--shutdown-delay must be/],
    ];
    for (const [argv, said] of wrong) {
      const { code, errors, output } = await host.run(argv);
      expect(errors)
        .to.match(said)
        .and.match(/^apiserver-proxy: [^\n]*\n$/);
      expect([code, output]).to.deep.equal([2, '']);
    }
  });
});
