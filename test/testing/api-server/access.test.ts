import { expect } from 'chai';
import { inspect } from 'node:util';
import { createAuthority, startApiServer, type ApiServer } from '../../../lib/testing/index.js';
import { ask } from './client.js';

const POD = { kind: 'Pod', metadata: { name: 'web' } };

describe('testing: whom an API server knows, and what they may', () => {
  let server: ApiServer;

  beforeEach(async () => {
    server = await startApiServer({
      users: [
        { name: 'admin', groups: ['system:masters'] },
        { name: 'alice', groups: ['devs'] },
        { name: 'proxy', token: 'proxy-token' },
      ],
      rules: [
        {
          subjects: ['devs'],
          verbs: ['get', 'list'],
          resources: ['pods', 'pods/log'],
          namespaces: ['default'],
        },
        {
          subjects: ['proxy'],
          verbs: ['impersonate'],
          resources: ['users', 'groups'],
          names: ['alice', 'devs'],
        },
        { subjects: ['proxy'], verbs: ['create'], resources: ['subjectaccessreviews'] },
      ],
      objects: [POD],
    });
  });
  afterEach(() => server.close());

  const whoami = async (options: Parameters<typeof ask>[2]) => {
    const path = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
    const { status, body } = await ask(server, path, { method: 'POST', body: {}, ...options });
    return status === 201 ? (body.status as { userInfo: object }).userInfo : body.message;
  };

  it('knows tokens and client certificates, and believes the certificate where there are both', async () => {
    const { certificate: cert, privateKey: key } = server.clientCertificate('bob', 'ops');
    const bob = { username: 'bob', groups: ['ops', 'system:authenticated'] };
    expect(await whoami({ user: 'alice' })).to.deep.equal({
      username: 'alice',
      groups: ['devs', 'system:authenticated'],
    });
    expect(await whoami({ cert, key })).to.deep.equal(bob);
    expect(await whoami({ cert, key, user: 'admin' })).to.deep.equal(bob);
    const stranger = createAuthority('other').issue({ commonName: 'admin', organization: 'system:masters' });
    const unknown = { cert: stranger.certificate, key: stranger.privateKey };
    expect(await whoami(unknown)).to.contain('User "system:anonymous" cannot create');
    expect(await whoami({ headers: { authorization: 'Bearer wrong' } })).to.equal('Unauthorized');
    const headers = { authorization: `Bearer ${server.tokenOf('alice')}` };
    server.removeUser('alice');
    expect(await whoami({ headers })).to.equal('Unauthorized');
    expect(server.requests.at(-1)).to.include({ user: undefined });
    expect(inspect(server.requests, { depth: 9 })).not.to.contain('Bearer');
  });

  it('refuses in the words of kube-apiserver', async () => {
    const refusal = async (path: string, user?: string) => {
      const { status, body } = await ask(server, path, user === undefined ? {} : { user });
      expect(body).to.include({ kind: 'Status', status: 'Failure', reason: 'Forbidden', code: status });
      return body.message;
    };
    const pods = '/api/v1/namespaces/kube-system/pods/x/log';
    expect(await refusal(pods, 'alice')).to.equal(
      'pods "x" is forbidden: User "alice" cannot get resource "pods/log" in API group "" in the namespace "kube-system"',
    );
    expect(await refusal('/api/v1/nodes')).to.equal(
      'nodes is forbidden: User "system:anonymous" cannot list resource "nodes" in API group "" at the cluster scope',
    );
    expect(await refusal('/metrics', 'alice')).to.equal('forbidden: User "alice" cannot get path "/metrics"');
    expect(await ask(server, '/version')).to.include({ status: 200 });
  });

  it('lets users be taken for others only as far as the rules say', async () => {
    const as = { 'impersonate-user': 'alice', 'impersonate-group': 'devs' };
    const path = '/api/v1/namespaces/default/pods/web';
    expect(await ask(server, path, { user: 'proxy', headers: as })).to.include({ status: 200 });
    expect(server.requests.at(-1)).to.include({ user: 'proxy', as: 'alice' });
    for (const headers of [{ 'impersonate-user': 'admin' }, { ...as, 'impersonate-group': 'system:masters' }])
      expect(await ask(server, path, { user: 'proxy', headers })).to.include({ status: 403 });
    expect(await ask(server, path, { user: 'alice', headers: as })).to.include({ status: 403 });
    const onlyGroups = { 'impersonate-group': 'system:masters' };
    expect(await ask(server, path, { user: 'proxy', headers: onlyGroups })).to.include({ status: 500 });
  });

  it('says what users may do, themselves and others', async () => {
    const review = async (user: string, kind: string, spec: object) => {
      const path = `/apis/authorization.k8s.io/v1/${kind}`;
      const { status, body } = await ask(server, path, { method: 'POST', user, body: { spec } });
      return status === 201 ? (body.status as { allowed: boolean }).allowed : status;
    };
    const log = { verb: 'get', resource: 'pods', subresource: 'log', namespace: 'default', name: 'web' };
    const exec = { ...log, verb: 'create', subresource: 'exec' };
    const self = 'selfsubjectaccessreviews';
    expect(await review('alice', self, { resourceAttributes: log })).to.equal(true);
    expect(await review('alice', self, { resourceAttributes: exec })).to.equal(false);
    expect(await review('admin', self, { resourceAttributes: exec })).to.equal(true);
    const others = 'subjectaccessreviews';
    expect(await review('proxy', others, { user: 'x', groups: ['devs'], resourceAttributes: log })).to.equal(
      true,
    );
    expect(await review('proxy', others, { user: 'x', resourceAttributes: log })).to.equal(false);
    expect(await review('alice', others, { user: 'x', resourceAttributes: log })).to.equal(403);
    expect(await review('proxy', others, { resourceAttributes: log })).to.equal(422);
    server.revoke('devs');
    expect(await review('alice', self, { resourceAttributes: log })).to.equal(false);
    server.allow({ subjects: ['alice'], verbs: ['get'], resources: ['pods/log'] });
    expect(await review('alice', self, { resourceAttributes: log })).to.equal(true);
  });
});
