import { expect } from 'chai';
import { connect as connectHttp2 } from 'node:http2';
import { Agent, request as requestHttps, type RequestOptions } from 'node:https';
import { inspect } from 'node:util';
import sinon from 'sinon';
import type { Access, Caller, RequestAttributes } from '../../../lib/apiserver/access.js';
import { ReviewedAccess, type ReviewedAccessOptions } from '../../../lib/apiserver/access/reviewed-access.js';
import { StatusError } from '../../../lib/apiserver/status-error.js';
import { UpstreamClient } from '../../../lib/apiserver/upstream/upstream-client.js';
import { InvalidOptionError } from '../../../lib/errors.js';
import { createAuthority, startApiServer, type ApiServer } from '../../../lib/testing/index.js';
import { answerJson, OtherUpstream } from '../upstream/other-upstream.js';
import { Gate, shown } from './gate.js';

const LOG: RequestAttributes = {
  verb: 'get',
  resource: 'pods',
  subresource: 'log',
  namespace: 'default',
  name: 'web',
};
const EXEC: RequestAttributes = { ...LOG, verb: 'create', subresource: 'exec' };
const NODE: RequestAttributes = { verb: 'get', resource: 'nodes', subresource: 'proxy', name: 'node-1' };

interface Told {
  readonly userName?: string;
  readonly headers?: Record<string, unknown>;
  readonly isImpersonated?: boolean;
  readonly refusal?: { readonly code: number; readonly message: string; readonly reason: string };
}

describe('apiserver: who may do what', () => {
  let server: ApiServer;
  let upstream: UpstreamClient;
  let gate: Gate;
  let access: Access;
  let attributes: RequestAttributes;

  const newAccess = (options: Partial<ReviewedAccessOptions> = {}): ReviewedAccess =>
    new ReviewedAccess({ upstream, clientCertificateAuthority: server.certificateAuthority, ...options });

  const judge = async (request: Parameters<Access['authenticate']>[0]) => {
    const caller = await access.authenticate(request);
    await access.authorize(attributes, { caller });
    const { userName, isImpersonated } = caller;
    return { userName, isImpersonated, headers: await caller.upstreamHeaders() };
  };

  beforeEach(async () => {
    server = await startApiServer({
      users: [{ name: 'alice', groups: ['devs'] }, { name: 'bob' }, { name: 'proxy' }],
      rules: [
        { subjects: ['devs'], verbs: ['get'], resources: ['pods/log'], namespaces: ['default'] },
        { subjects: ['proxy'], verbs: ['create'], resources: ['subjectaccessreviews'] },
        { subjects: ['bob'], verbs: ['impersonate'], resources: ['users', 'groups'] },
      ],
    });
    upstream = new UpstreamClient({
      server: server.url,
      certificateAuthority: server.certificateAuthority,
      token: server.tokenOf('proxy'),
    });
    access = newAccess();
    attributes = LOG;
    gate = await Gate.start(judge, server.certificateAuthority);
  });

  afterEach(async () => {
    await gate.close();
    upstream.close();
    await server.close();
  });

  const ask = (options: RequestOptions = {}, at = gate): Promise<Told> =>
    new Promise((resolve, reject) => {
      const given = { ca: at.authority.certificate, agent: false, ...options };
      const request = requestHttps(at.url, given, (response) => {
        response.toArray().then((parts) => {
          resolve(JSON.parse(Buffer.concat(parts as Buffer[]).toString()) as Told);
        }, reject);
      });
      request.once('error', reject).end();
    });

  const bearer = (user: string): Record<string, string> => ({
    authorization: `Bearer ${server.tokenOf(user)}`,
  });
  const reviews = (): string[] =>
    server.requests
      .filter(({ url }) => url.includes('accessreviews'))
      .map(({ user, as }) => `${user ?? '?'} as ${as ?? '?'}`);

  const ALICE_EXEC =
    'pods "web" is forbidden: User "alice" cannot create resource "pods/exec" in API group "" in the namespace "default"';

  it('is asked with the token of the caller, who is told what kube-apiserver would say', async () => {
    expect(await ask({ headers: bearer('alice') })).to.deep.equal({ headers: bearer('alice') });
    expect(reviews()).to.deep.equal(['alice as alice']);
    attributes = EXEC;
    const { refusal } = await ask({ headers: bearer('alice') });
    expect(refusal).to.include({ code: 403, reason: 'Forbidden', message: ALICE_EXEC });
    attributes = NODE;
    expect((await ask({ headers: bearer('alice') })).refusal?.message).to.equal(
      'nodes "node-1" is forbidden: User "alice" cannot get resource "nodes/proxy" in API group "" at the cluster scope',
    );
  });

  it('says 401 for a token that nobody has', async () => {
    const headers = { authorization: 'Bearer wrong' };
    expect((await ask({ headers })).refusal).to.include({
      code: 401,
      reason: 'Unauthorized',
      message: 'Unauthorized',
    });
  });

  it('gives anonymous callers what the upstream gives them', async () => {
    const { refusal } = await ask();
    expect(refusal).to.include({ code: 403 });
    expect(refusal?.message).to.equal(
      'pods "web" is forbidden: User "system:anonymous" cannot get resource "pods/log" in API group "" in the namespace "default"',
    );
    const everybody = ['system:unauthenticated'];
    server.allow({ subjects: everybody, verbs: ['create'], resources: ['selfsubjectaccessreviews'] });
    server.allow({ subjects: everybody, verbs: ['get'], resources: ['pods/log'] });
    access = newAccess();
    expect(await ask()).to.deep.equal({ userName: 'system:anonymous', headers: {} });
  });

  it('takes a token from the subprotocols of a browser', async () => {
    const token = Buffer.from(server.tokenOf('alice')).toString('base64url');
    const protocols = `v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.${token}`;
    expect(await ask({ headers: { 'sec-websocket-protocol': protocols } })).to.deep.equal({
      headers: bearer('alice'),
    });
    const broken = { 'sec-websocket-protocol': 'base64url.bearer.authorization.k8s.io.' };
    expect((await ask({ headers: broken })).refusal).to.include({ code: 401 });
  });

  it('lets the upstream judge whom a token may be taken for', async () => {
    const asAlice = { 'impersonate-user': 'alice', 'impersonate-group': ['devs', 'ops'] };
    const headers = { ...bearer('bob'), ...asAlice };
    const told = await ask({ headers });
    expect(told.headers).to.deep.equal({ ...bearer('bob'), ...asAlice, 'impersonate-user': ['alice'] });
    expect(reviews()).to.deep.equal(['bob as alice']);
    const { refusal } = await ask({ headers: { ...bearer('alice'), 'impersonate-user': 'bob' } });
    expect(refusal).to.include({ code: 403 });
    expect(refusal?.message).to.contain('User "alice" cannot impersonate resource "users"');
    expect((await ask({ headers: { 'impersonate-user': 'alice' } })).refusal).to.include({ code: 403 });
    // Where bob may be alice, bob himself may still not do this.
    expect((await ask({ headers: bearer('bob') })).refusal).to.include({ code: 403 });
  });

  it('asks in its own name for the user of a certificate, whatever token stands beside it', async () => {
    const alice = shown(server.clientCertificate('alice', 'devs'));
    const told = await ask({ ...alice, headers: bearer('bob') });
    expect(told).to.deep.equal({
      userName: 'alice',
      isImpersonated: true,
      headers: { ...bearer('proxy'), 'impersonate-user': 'alice', 'impersonate-group': ['devs'] },
    });
    expect(reviews()).to.deep.equal(['proxy as proxy']);
    attributes = EXEC;
    expect((await ask(alice)).refusal?.message).to.equal(ALICE_EXEC);
  });

  it('lets the user of a certificate do what everybody may who is known', async () => {
    server.allow({ subjects: ['system:authenticated'], verbs: ['create'], resources: ['pods/exec'] });
    attributes = EXEC;
    expect(await ask(shown(server.clientCertificate('carol')))).to.include({ userName: 'carol' });
  });

  it('believes no certificate but those of its authority', async () => {
    const stranger = shown(createAuthority('other').issue({ commonName: 'alice', organization: 'devs' }));
    expect((await ask(stranger)).refusal).to.include({ code: 401 });
    expect(await ask({ ...stranger, headers: bearer('alice') })).to.deep.equal({ headers: bearer('alice') });
    const expired = new Date(Date.now() - 1000);
    const authority = createAuthority('own');
    access = newAccess({ clientCertificateAuthority: authority.certificate });
    const own = await Gate.start(judge, authority.certificate);
    const old = shown(authority.issue({ commonName: 'alice', organization: 'devs', notAfter: expired }));
    expect((await ask(old, own)).refusal).to.include({ code: 401 });
    const forServers = shown(
      authority.issue({ commonName: 'alice', organization: 'devs', purpose: 'server' }),
    );
    expect((await ask(forServers, own)).refusal).to.include({ code: 401 });
    const good = shown(authority.issue({ commonName: 'alice', organization: 'devs' }));
    expect(await ask(good, own)).to.include({ userName: 'alice' });
    await own.close();
  });

  it('judges by the authorities that a source tells now, also on connections that are up', async () => {
    let told: { readonly ca?: string } = { ca: server.certificateAuthority };
    access = newAccess({ clientCertificateAuthority: { current: () => told } });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const alice = { ...shown(server.clientCertificate('alice', 'devs')), agent };
    expect(await ask(alice)).to.include({ userName: 'alice' });
    told = { ca: createAuthority('other').certificate };
    expect((await ask(alice)).refusal).to.include({ code: 401 });
    told = {};
    expect(await ask(alice)).to.have.property('refusal');
    told = { ca: server.certificateAuthority };
    expect(await ask(alice)).to.include({ userName: 'alice' });
    agent.destroy();
  });

  it('believes none that has expired since its connection was made', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const alice = { ...shown(server.clientCertificate('alice', 'devs')), agent };
    expect(await ask(alice)).to.include({ userName: 'alice' });
    const clock = sinon.useFakeTimers({ toFake: ['Date'], now: Date.now() + 2 * 86_400_000 });
    try {
      expect((await ask(alice)).refusal).to.include({ code: 401 });
    } finally {
      clock.restore();
      agent.destroy();
    }
  });

  it('does not rely on a server that verifies by other authorities', async () => {
    const other = createAuthority('other');
    const careless = await Gate.start(judge, other.certificate);
    const alice = shown(other.issue({ commonName: 'alice', organization: 'devs' }));
    expect((await ask(alice, careless)).refusal).to.include({ code: 401 });
    await careless.close();
    access = newAccess({ clientCertificateAuthority: undefined });
    expect((await ask(shown(server.clientCertificate('alice', 'devs')))).refusal?.message).to.contain(
      'system:anonymous',
    );
  });

  it('refuses who has a certificate and wants to be somebody else', async () => {
    const alice = shown(server.clientCertificate('alice', 'devs'));
    for (const header of [
      'Impersonate-User',
      'impersonate_group',
      'X-Remote-User',
      'X-Remote-Extra-Scopes',
    ]) {
      const { refusal } = await ask({ ...alice, headers: { [header]: 'admin' } });
      expect(refusal, header).to.include({ code: 403, reason: 'Forbidden' });
    }
    expect(reviews()).to.deep.equal([]);
  });

  it('believes no name that a header would change', async () => {
    for (const name of ['alice ', ' alice', 'ali\r\nce'])
      expect((await ask(shown(server.clientCertificate(name, 'devs')))).refusal, name).to.include({
        code: 401,
      });
    expect((await ask(shown(server.clientCertificate('alice', 'devs\n')))).refusal).to.include({ code: 401 });
    const told = await ask(shown(server.clientCertificate('Zoë', 'devs')));
    expect(told.headers).to.include({ 'impersonate-user': 'ZoÃ«' });
  });

  it('knows certificates over HTTP/2, too', async () => {
    const newer = await Gate.start(judge, server.certificateAuthority, 2);
    const { certificate: cert, privateKey: key } = server.clientCertificate('alice', 'devs');
    const session = connectHttp2(newer.url, { ca: newer.authority.certificate, cert, key });
    const answers = await Promise.all(
      [1, 2].map(async () => {
        const parts = (await session.request({ ':path': '/' }).toArray()) as Buffer[];
        return JSON.parse(Buffer.concat(parts).toString()) as Told;
      }),
    );
    for (const told of answers) expect(told).to.include({ userName: 'alice', isImpersonated: true });
    const refused = (await session.request({ 'impersonate-user': 'bob' }).toArray()) as Buffer[];
    expect(Buffer.concat(refused).toString()).to.contain('"code":403');
    session.destroy();
    await newer.close();
  });

  describe('remembers', () => {
    let request: { headers: Record<string, string>; rawHeaders: string[]; socket: object };
    let caller: Caller;
    beforeEach(async () => {
      const headers = bearer('alice');
      request = { headers, rawHeaders: Object.entries(headers).flat(), socket: {} };
      caller = await authenticated();
    });
    const authenticated = (): Promise<Caller> => access.authenticate(request as never);
    const refusalOf = async (promise: Promise<unknown>): Promise<unknown> =>
      promise.catch((error: unknown) => error);

    it('what it was told, and asks once for many', async () => {
      await Promise.all([1, 2, 3].map(async () => access.authorize(LOG, { caller: await authenticated() })));
      await access.authorize(LOG, { caller });
      expect(reviews()).to.have.length(1);
      await refusalOf(access.authorize({ ...LOG, name: 'db', namespace: 'other' }, { caller }));
      await refusalOf(access.authorize({ ...LOG, name: 'db', namespace: 'other' }, { caller }));
      expect(reviews()).to.have.length(2);
    });

    it('it only as long as it may', async () => {
      access = newAccess({ allowedMs: 0, deniedMs: 0 });
      await access.authorize(LOG, { caller });
      server.revoke('devs');
      expect(await refusalOf(access.authorize(LOG, { caller }))).to.be.instanceOf(StatusError);
      server.allow({ subjects: ['alice'], verbs: ['get'], resources: ['pods/log'] });
      await access.authorize(LOG, { caller });
    });

    it('no more than it may', async () => {
      access = newAccess({ maxDecisions: 1 });
      await access.authorize(LOG, { caller });
      await access.authorize({ ...LOG, name: 'db' }, { caller });
      await access.authorize(LOG, { caller });
      expect(reviews()).to.have.length(3);
    });

    it('nothing of what failed', async () => {
      const { port } = server;
      await server.close();
      expect(await refusalOf(access.authorize(LOG, { caller }))).to.include({ code: 503 });
      const token = caller
        .upstreamHeaders()
        .then(({ authorization = '' }) => authorization.slice('Bearer '.length));
      server = await startApiServer({
        port,
        users: [{ name: 'alice', groups: ['devs'], token: await token }],
        rules: [{ subjects: ['devs'], verbs: ['get'], resources: ['pods/log'] }],
      });
      const client = new UpstreamClient({
        server: server.url,
        certificateAuthority: server.certificateAuthority,
      });
      await new ReviewedAccess({ upstream: client }).authorize(LOG, { caller });
      client.close();
    });

    it('it apart for each caller, and lets one give up without the others', async () => {
      const controller = new AbortController();
      const [first, second] = [
        access.authorize(LOG, { caller, signal: controller.signal }),
        access.authorize(LOG, { caller }),
      ];
      controller.abort(new Error('enough'));
      expect(await refusalOf(first)).to.have.property('message', 'enough');
      await second;
      const headers = bearer('bob');
      const bob = await access.authenticate({ headers, rawHeaders: [], socket: {} } as never);
      expect(bob.key).not.to.equal(caller.key);
      expect(await refusalOf(access.authorize(LOG, { caller: bob }))).to.include({ code: 403 });
    });

    it('on one connection only who showed the same token, and asks to be nobody else', async () => {
      const { socket } = request;
      const keyOn = async (headers: Record<string, string>): Promise<string> => {
        const rawHeaders = Object.entries(headers).flat();
        return (await access.authenticate({ headers, rawHeaders, socket } as never)).key;
      };
      const asAdmin = { 'impersonate-user': 'admin' };
      const others = [bearer('bob'), { ...bearer('alice'), ...asAdmin }, {}, asAdmin, bearer('alice')];
      const keys: string[] = [];
      for (const headers of others) keys.push(await keyOn(headers));
      expect(keys.pop()).to.equal(caller.key);
      expect(new Set([...keys, caller.key])).to.have.lengthOf(5);
    });

    it('no token', () => {
      const token = server.tokenOf('alice');
      expect(inspect(access, { depth: 9, showHidden: true }) + inspect(caller, { depth: 9 })).not.to.contain(
        token,
      );
    });
  });

  it('takes nothing for a yes but a yes', async () => {
    const answers: unknown[] = [
      {},
      { status: {} },
      { status: { allowed: 'true' } },
      { status: { allowed: true, denied: true } },
      null,
      [],
    ];
    const caller: Caller = { key: 'x', userName: undefined, upstreamHeaders: () => Promise.resolve({}) };
    for (const [index, answer] of answers.entries()) {
      const one = await OtherUpstream.start((_request, response) => answerJson(response, answer, 201));
      const reviewed = new ReviewedAccess({ upstream: one.client() });
      const asked = reviewed.authorize({ ...LOG, name: `n${index}` }, { caller });
      expect(await asked.catch((error: unknown) => error)).to.include({ code: 403 });
      await one.close();
    }
  });

  it('says that it may not ask, when that is so, and not that the caller may not', async () => {
    server.revoke('proxy');
    const { refusal } = await ask(shown(server.clientCertificate('alice', 'devs')));
    expect(refusal).to.include({ code: 503 });
    expect(refusal?.message).to.contain('may create subjectaccessreviews');
  });

  it('names the option that is wrong', () => {
    const bare = new UpstreamClient({ server: server.url });
    const wrong: [object, string][] = [
      [{}, 'upstream'],
      [
        { upstream: bare, clientCertificateAuthority: server.certificateAuthority },
        'clientCertificateAuthority',
      ],
      [{ upstream, clientCertificateAuthority: '/etc/ca.crt' }, 'clientCertificateAuthority'],
      [{ upstream, clientCertificateAuthority: [] }, 'clientCertificateAuthority'],
      [{ upstream, clientCertificateAuthority: { current: 1 } }, 'clientCertificateAuthority'],
      [{ upstream, clientCertificateAuthority: { current: () => ({}) } }, 'clientCertificateAuthority'],
      [{ upstream, allowedMs: -1 }, 'allowedMs'],
      [{ upstream, cacheMs: 1 }, 'cacheMs'],
    ];
    for (const [options, option] of wrong)
      expect(() => new ReviewedAccess(options as ReviewedAccessOptions), option)
        .to.throw(InvalidOptionError)
        .with.property('option', option);
    bare.close();
  });
});
