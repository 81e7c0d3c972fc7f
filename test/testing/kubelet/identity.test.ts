import { once } from 'node:events';
import { connect } from 'node:net';
import tls from 'node:tls';
import { expect } from 'chai';
import { createAuthority, startKubelet, type Kubelet } from '../../../lib/testing/index.js';
import { rejection } from '../../support/dialer.js';
import { ask } from './client.js';

describe('testing: who a kubelet is, and whom it knows', () => {
  let kubelet: Kubelet;
  beforeEach(async () => {
    kubelet = await startKubelet({ nodeName: 'node-7' });
  });
  afterEach(() => kubelet.close());

  const nobody = { headers: {} };

  it('knows its tokens and its client certificates, and nobody else', async () => {
    const { certificate: cert, privateKey: key } = kubelet.clientCertificate({ commonName: 'admin' });
    const stranger = createAuthority('other').issue({ commonName: 'admin' });
    expect((await ask(kubelet, '/healthz')).body).to.equal('ok');
    expect((await ask(kubelet, '/healthz', { cert, key, ...nobody })).status).to.equal(200);
    for (const wrong of [
      nobody,
      { cert: stranger.certificate, key: stranger.privateKey, ...nobody },
      { headers: { authorization: 'Bearer wrong' } },
      { headers: { authorization: kubelet.token } },
    ]) {
      const { status, body } = await ask(kubelet, '/healthz', wrong);
      expect({ status, body }).to.deep.equal({ status: 401, body: 'Unauthorized\n' });
    }
    expect(kubelet.requests.map(({ user }) => user)).to.deep.equal([
      'token',
      'admin',
      ...Array<undefined>(4).fill(undefined),
    ]);
    expect(JSON.stringify(kubelet.requests)).not.to.include(kubelet.token);
  });

  it('takes nobody in particular when it is told to, but no wrong token', async () => {
    await using open = await startKubelet({ anonymous: true });
    expect((await ask(open, '/healthz', nobody)).status).to.equal(200);
    expect((await ask(open, '/healthz', { headers: { authorization: 'Bearer x' } })).status).to.equal(401);
    expect(open.requests[0]).to.include({ method: 'GET', url: '/healthz', user: 'system:anonymous' });
  });

  it('is named as the node that it is on', async () => {
    const { subject, subjectaltname } = await peer(kubelet);
    expect(subject).to.deep.include({ CN: 'system:node:node-7', O: 'system:nodes' });
    expect(subjectaltname).to.equal('IP Address:127.0.0.1, DNS:node-7');
  });

  it('can vouch for itself alone', async () => {
    await using own = await startKubelet({ certificate: 'self-signed', nodeName: 'node-7' });
    const { subject, issuer } = await peer(own);
    expect(subject.CN).to.match(/^node-7@\d+$/);
    expect(issuer).to.deep.equal(subject);
  });

  it('changes its certificate, and its authority, for new connections', async () => {
    const before = await peer(kubelet);
    const authority = kubelet.certificateAuthority;
    kubelet.replaceCertificate({ commonName: 'somebody', altNames: ['elsewhere'] });
    const error = await rejection<NodeJS.ErrnoException>(ask(kubelet, '/healthz'));
    expect(error.code).to.equal('ERR_TLS_CERT_ALTNAME_INVALID');
    expect(kubelet.certificateAuthority).to.equal(authority);
    kubelet.replaceCertificate({ newAuthority: true });
    const after = await peer(kubelet);
    expect(after.subject).to.deep.equal(before.subject);
    expect(after.fingerprint256).not.to.equal(before.fingerprint256);
    expect(
      (await rejection<NodeJS.ErrnoException>(ask(kubelet, '/healthz', { ca: authority }))).code,
    ).to.match(/UNABLE_TO_VERIFY|SELF_SIGNED|UNABLE_TO_GET_ISSUER|CERT_SIGNATURE_FAILURE/);
    const { certificate: cert, privateKey: key } = kubelet.clientCertificate();
    expect((await ask(kubelet, '/healthz', { cert, key, ...nobody })).status).to.equal(200);
  });

  it('can have a certificate that has expired', async () => {
    kubelet.replaceCertificate({ notAfter: new Date(Date.now() - 1000) });
    expect((await rejection<NodeJS.ErrnoException>(ask(kubelet, '/healthz'))).code).to.equal(
      'CERT_HAS_EXPIRED',
    );
  });

  it('closes although somebody is in the middle of a handshake', async () => {
    const socket = connect(kubelet.port, kubelet.host);
    await once(socket, 'connect');
    await ask(kubelet, '/healthz');
    const closed = once(socket.resume(), 'close');
    await kubelet.close();
    await closed;
  });

  const wrong: Record<string, [options: object, message: RegExp]> = {
    'an unknown option': [{ nodename: 'x' }, /^nodename is not .*did you mean nodeName\?/],
    'a token that is none': [
      { tokens: ['secret secret'] },
      /^tokens\[0\] must be a bearer token, got a string$/,
    ],
    'an unknown protocol': [{ protocols: ['v3'] }, /^protocols\[0\] must be 'v4' or 'v5'/],
    'a name that is none': [{ pods: [{ name: 'a/b', containers: [] }] }, /^pods\[0\]\.name must be a name/],
    'no command': [
      { pods: [{ name: 'a', containers: [{ name: 'b', command: [] }] }] },
      /^pods\[0\]\.containers\[0\]\.command must begin with the program/,
    ],
  };
  for (const [what, [options, message]] of Object.entries(wrong)) {
    it(`refuses ${what}`, async () => {
      const error = await rejection<NodeJS.ErrnoException>(startKubelet(options));
      expect(error.code).to.equal('ERR_TUNNEL_INVALID_OPTION');
      expect(error.message).to.match(message);
    });
  }

  it('knows its containers only', () => {
    expect(() => kubelet.container('default', 'web', 'x')).to.throw(/default\/web\/app/);
  });

  it('fails as a server does when its port is taken', async () => {
    const containers = [{ name: 'app', command: ['sleep', '1000'] }];
    const options = { port: kubelet.port, pods: [{ name: 'web', containers }] };
    const error = await rejection<NodeJS.ErrnoException>(startKubelet(options));
    expect(error.code).to.equal('EADDRINUSE');
  });
});

async function peer(kubelet: Kubelet): Promise<tls.PeerCertificate> {
  const { host, port, certificateAuthority: ca } = kubelet;
  const socket = tls.connect({ host, port, ca });
  await once(socket, 'secureConnect');
  const certificate = socket.getPeerCertificate();
  socket.destroy();
  return certificate;
}
