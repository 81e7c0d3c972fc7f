import { expect } from 'chai';
import { once } from 'node:events';
import type http from 'node:http';
import https, { type ServerOptions } from 'node:https';
import { TLSSocket, type PeerCertificate } from 'node:tls';
import { createAuthority, type Subject } from '../../lib/testing/certificates.js';
import { TransportError } from '../../lib/index.js';
import { httpsAgent, TlsHandshakeTimeoutError, type TunnelHttpsAgentOptions } from '../../lib/http/index.js';
import { gate, rejection, silent, until } from '../support/dialer.js';
import { expectNoLeaks } from '../support/leaks.js';
import { begin, fetchText, Stage } from './stage.js';

const authority = createAuthority('cluster-ca');
const ca = authority.certificate;
const DAY_MS = 86_400_000;

function tlsOf(socket: unknown): TLSSocket {
  if (socket instanceof TLSSocket) return socket;
  throw new Error('not TLS');
}

describe('http: TLS of httpsAgent', () => {
  let stage: Stage;
  /** Names that the endpoint was asked for by server name indication, `false` where it was not. */
  const indicated: (string | false)[] = [];

  beforeEach(async () => {
    stage = await Stage.start({
      // The endpoint answers to any name.
      redirect: (host, port) => (host === 'gone.example' ? undefined : { host: '127.0.0.1', port }),
    });
    indicated.length = 0;
  });
  afterEach(() => stage.end());

  const serve = async (subject: Partial<Subject> = {}, options: ServerOptions = {}): Promise<number> => {
    const own = authority.issue({
      commonName: 'endpoint',
      altNames: ['10.0.0.11', 'node-1.example'],
      ...subject,
    });
    const { server, port } = await stage.https(
      { cert: own.certificate, key: own.privateKey, ...options },
      ({ socket }, response) => {
        const { subject: client } = tlsOf(socket).getPeerCertificate() as Partial<PeerCertificate>;
        response.end(`hello ${String(client?.CN ?? 'stranger')}`);
      },
    );
    server.on('secureConnection', (socket: TLSSocket & { servername: string | false }) => {
      indicated.push(socket.servername);
    });
    return port;
  };
  const agent = (options?: TunnelHttpsAgentOptions): https.Agent =>
    stage.using(httpsAgent(stage.recorder, options));

  it('is verified against the host asked for, wherever that leads to', async () => {
    const port = await serve();
    expect((await fetchText({ agent: agent({ ca }), port, host: 'node-1.example' })).status).to.equal(200);
    const error = await rejection(begin({ agent: agent({ ca }), port, host: '127.0.0.1' }));
    expect(error).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  it('names a host in the handshake, but no IP address', async () => {
    const port = await serve();
    await fetchText({ agent: agent({ ca }), port, host: 'node-1.example' });
    await fetchText({ agent: agent({ ca }), port, host: '10.0.0.11' });
    expect(indicated).to.deep.equal(['node-1.example', false]);
  });

  it('is verified against servername where that is given', async () => {
    const port = await serve();
    const named = agent({ ca, servername: 'node-1.example' });
    expect((await fetchText({ agent: named, port, host: '127.0.0.1' })).status).to.equal(200);
    const misnamed = agent({ ca, servername: 'node-2.example' });
    const error = await rejection(begin({ agent: misnamed, port, host: 'node-1.example' }));
    expect(error).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  const refusals: Record<string, [Partial<Subject>, TunnelHttpsAgentOptions, string]> = {
    'of an unknown authority': [
      {},
      { ca: createAuthority('another-ca').certificate },
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    ],
    'of an authority that is not a public one': [{}, {}, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    'for another host': [{ altNames: ['10.0.0.12'] }, { ca }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    'that has expired': [{ notAfter: new Date(Date.now() - DAY_MS) }, { ca }, 'CERT_HAS_EXPIRED'],
    'that is not valid yet': [
      { notBefore: new Date(Date.now() + DAY_MS), notAfter: new Date(Date.now() + 2 * DAY_MS) },
      { ca },
      'CERT_NOT_YET_VALID',
    ],
    'that is for clients only': [{ purpose: 'client' }, { ca }, 'INVALID_PURPOSE'],
  };
  for (const [which, [subject, options, code]] of Object.entries(refusals)) {
    it(`refuses a certificate ${which}, with Node's own code`, async () => {
      const port = await serve(subject);
      expect(await rejection(begin({ agent: agent(options), port, host: '10.0.0.11' }))).to.include({ code });
      await stage.ssh.until(({ channels }) => channels === 0);
    });
  }

  it('verifies unless rejectUnauthorized is false: undefined is not', async () => {
    const port = await serve();
    const accepting = agent({ rejectUnauthorized: false });
    expect((await fetchText({ agent: accepting, port, host: 'elsewhere.example' })).status).to.equal(200);
    const verifying = agent({ rejectUnauthorized: undefined, ca: undefined, checkServerIdentity: undefined });
    expect(await rejection(begin({ agent: verifying, port, host: '10.0.0.11' }))).to.include({
      code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    });
  });

  it('asks checkServerIdentity', async () => {
    const port = await serve();
    const asked: string[] = [];
    const checkServerIdentity = (host: string): Error | undefined => {
      asked.push(host);
      return host === '10.0.0.99' ? new Error('not this one') : undefined;
    };
    const asking = agent({ ca, checkServerIdentity });
    expect((await fetchText({ agent: asking, port, host: '10.0.0.98' })).status).to.equal(200);
    expect(await rejection(begin({ agent: asking, port, host: '10.0.0.99' }))).to.include({
      message: 'not this one',
    });
    expect(asked).to.deep.equal(['10.0.0.98', '10.0.0.99']);
  });

  it('shows a client certificate', async () => {
    const port = await serve({}, { requestCert: true, ca });
    const client = authority.issue({ commonName: 'control-plane', purpose: 'client' });
    const known = agent({ ca, cert: client.certificate, key: client.privateKey });
    expect((await fetchText({ agent: known, port, host: '10.0.0.11' })).body).to.equal('hello control-plane');
    const unknown = await rejection(begin({ agent: agent({ ca }), port, host: '10.0.0.11' }));
    expect(unknown).to.have.property('code');
  });

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`resumes its session on the next connection, with ${maxVersion}`, async () => {
      const port = await serve();
      const resuming = agent({ ca, maxVersion, keepAlive: false });
      const reused = [];
      for (let count = 0; count < 3; count += 1) {
        const response = await begin({ agent: resuming, port, host: 'node-1.example' });
        reused.push(tlsOf(response.socket).isSessionReused());
        response.resume();
        await once(response, 'close');
      }
      expect(reused).to.deep.equal([false, true, true]);
      expect(stage.ssh.totalChannels).to.equal(3);
    });
  }

  it('does not resume a session with another host', async () => {
    const port = await serve();
    const resuming = agent({ ca, keepAlive: false });
    const response = await begin({ agent: resuming, port, host: 'node-1.example' });
    response.resume();
    await once(response, 'close');
    const error = await rejection(begin({ agent: resuming, port, host: 'node-2.example' }));
    expect(error).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
  });

  it('has a deadline', async () => {
    const { port } = await stage.endpoint(silent);
    const hasty = agent({ ca, tlsHandshakeTimeoutMs: 30 });
    const error = await rejection(begin({ agent: hasty, port }));
    expect(error).to.be.instanceOf(TlsHandshakeTimeoutError);
    expect(error).to.include({ code: 'ETIMEDOUT', name: 'TlsHandshakeTimeoutError', node: 'node-1', port });
    await stage.ssh.until(({ channels }) => channels === 0);
    await until('an empty agent', () => Object.keys(hasty.sockets).length === 0);
  });

  it('leaves no timer once it is done', async () => {
    const port = await serve();
    // So that the connection is not among what the request leaves.
    (await stage.recorder.dial('127.0.0.1', port)).destroy();
    await stage.ssh.until(({ channels }) => channels === 0);
    await expectNoLeaks(async () => {
      const own = httpsAgent(stage.recorder, { ca });
      await fetchText({ agent: own, port, host: 'node-1.example' });
      own.destroy();
      await stage.ssh.until(({ channels }) => channels === 0);
    });
  });

  it('fails with the error of the tunnel when that is lost in the handshake', async () => {
    const { opened: greeted, open } = gate();
    const { port } = await stage.endpoint((socket) => void socket.once('data', open));
    const failed = rejection(begin({ agent: agent({ ca }), port }));
    await greeted;
    stage.ssh.cut('rst');
    expect(await failed)
      .to.be.instanceOf(TransportError)
      .with.property('code', 'ECONNRESET');
  });

  it('fails when the endpoint ends the handshake', async () => {
    const { port } = await stage.endpoint((socket) => void socket.resume().end());
    expect(await rejection(begin({ agent: agent({ ca }), port }))).to.include({ code: 'ECONNRESET' });
    await stage.ssh.until(({ channels }) => channels === 0);
  });

  it('fails when the endpoint does not speak TLS', async () => {
    const { port } = await stage.http((_request, response) => response.end());
    const error = await rejection<NodeJS.ErrnoException>(begin({ agent: agent({ ca }), port }));
    expect(error.code).to.match(/^(EPROTO|ERR_SSL_)/);
    await stage.ssh.until(({ channels }) => channels === 0);
  });

  it('leaves no dial behind when a request asks for what TLS cannot do', () => {
    const request = (): http.ClientRequest =>
      https.get({ agent: agent({ ca }), host: '127.0.0.1', port: 1, cert: 'no certificate' });
    expect(request).to.throw(/PEM/i);
    expect(stage.recorder.options.map(({ signal }) => signal?.aborted)).to.deep.equal([true]);
  });
});
