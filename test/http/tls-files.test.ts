import { expect } from 'chai';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import type https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TLSSocket } from 'node:tls';
import { createAuthority, type Authority } from '../../lib/testing/certificates.js';
import { InvalidOptionError, tlsFiles, type TlsCredentials, type TlsFiles } from '../../lib/index.js';
import { httpsAgent, type TunnelHttpsAgentOptions } from '../../lib/http/index.js';
import { rejection, until } from '../support/dialer.js';
import { begin, fetchText, Stage } from './stage.js';

const [oldAuthority, newAuthority] = [createAuthority('old-ca'), createAuthority('new-ca')];
const server = (authority: Authority) => {
  const { certificate: cert, privateKey: key } = authority.issue({
    commonName: 'kubelet',
    altNames: ['127.0.0.1'],
  });
  return { cert, key };
};
const client = (commonName: string) => oldAuthority.issue({ commonName, purpose: 'client' });

function tlsOf(socket: unknown): TLSSocket {
  if (socket instanceof TLSSocket) return socket;
  throw new Error('not TLS');
}

describe('http: httpsAgent with tlsFiles', () => {
  let stage: Stage;
  let directory: string;
  let files: { readonly caFile: string; readonly certFile: string; readonly keyFile: string };

  beforeEach(async () => {
    stage = await Stage.start();
    directory = await mkdtemp(join(tmpdir(), 'agent-tls-files-'));
    const path = (name: string): string => join(directory, name);
    files = { caFile: path('ca.crt'), certFile: path('tls.crt'), keyFile: path('tls.key') };
    writeFileSync(files.caFile, oldAuthority.certificate);
    show('first');
  });
  afterEach(async () => {
    await stage.end();
    await rm(directory, { recursive: true });
  });

  /** Makes another client certificate the one in the files. */
  const show = (commonName: string): void => {
    const { certificate, privateKey } = client(commonName);
    writeFileSync(files.certFile, certificate);
    writeFileSync(files.keyFile, privateKey);
  };

  /** Says to each request who asks, and on which of its connections. */
  async function serve(): Promise<{ port: number; server: https.Server }> {
    const connections: unknown[] = [];
    return stage.https(
      { ...server(oldAuthority), requestCert: true, ca: oldAuthority.certificate },
      ({ socket }, response) => {
        if (!connections.includes(socket)) connections.push(socket);
        const { CN } = tlsOf(socket).getPeerCertificate().subject;
        response.end(`${String(CN)} on ${connections.indexOf(socket)}`);
      },
    );
  }

  const agentOf = (tls: TlsFiles, options: TunnelHttpsAgentOptions = {}): https.Agent =>
    stage.using(httpsAgent(stage.recorder, { tls, ...options }));

  const changed = async (tls: TlsFiles, before: TlsCredentials): Promise<void> =>
    until('what is in the files now', () => tls.current() !== before);

  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`makes new connections by what is in the files then, and resumes no session from before (${maxVersion})`, async () => {
      const { port, server: endpoint } = await serve();
      const tls = tlsFiles({ ...files, intervalMs: 1 });
      const agent = agentOf(tls, { keepAlive: false, maxVersion });
      expect((await fetchText({ agent, port })).body).to.equal('first on 0');
      const resumed = await begin({ agent, port });
      expect(tlsOf(resumed.socket).isSessionReused()).to.equal(true);
      resumed.resume();
      await once(resumed, 'close');

      let before = tls.current();
      show('second');
      await changed(tls, before);
      expect((await fetchText({ agent, port })).body).to.equal('second on 2');

      before = tls.current();
      writeFileSync(files.caFile, newAuthority.certificate);
      await changed(tls, before);
      expect(await rejection(begin({ agent, port }))).to.include({ code: 'SELF_SIGNED_CERT_IN_CHAIN' });

      endpoint.setSecureContext({ ...server(newAuthority), ca: oldAuthority.certificate });
      expect((await fetchText({ agent, port })).body).to.match(/^second on /);
      expect(tls.status().state).to.equal('current');
    });
  }

  it('has requests go on over connections that are up', async () => {
    const { port } = await serve();
    const tls = tlsFiles({ ...files, intervalMs: 1 });
    const agent = agentOf(tls);
    expect((await fetchText({ agent, port })).body).to.equal('first on 0');
    const before = tls.current();
    show('second');
    await changed(tls, before);
    expect((await fetchText({ agent, port })).body).to.equal('first on 0');
    expect(stage.ssh.totalChannels).to.equal(1);
  });

  it('fails the request, and it alone, when a source of its own tells what cannot be used', async () => {
    const { port } = await serve();
    const { certificate: cert, privateKey: key } = client('own');
    let current: TlsCredentials = { ca: oldAuthority.certificate, cert, key };
    const tls = { current: () => current };
    const agent = stage.using(httpsAgent(stage.recorder, { tls, maxSockets: 1, keepAlive: false }));
    const good = await begin({ agent, port, headers: { connection: 'close' } });
    current = { key: 'no key' };
    // Waits for the first to be over: nobody is there to catch what is thrown then.
    const queued = rejection(begin({ agent, port }));
    good.resume();
    expect((await queued).message).to.match(/PEM|DECODER|key/i);
    current = { ca: oldAuthority.certificate, cert, key };
    expect((await fetchText({ agent, port })).body).to.match(/^own on /);
    await stage.ssh.until(({ channels }) => channels === 0);
  });

  it('refuses what is no source, what cannot be used, and ca, cert or key beside it', () => {
    const refused = (options: object): InvalidOptionError => {
      try {
        httpsAgent(stage.recorder, options);
      } catch (error) {
        expect(error).to.be.instanceOf(InvalidOptionError);
        return error as InvalidOptionError;
      }
      throw new Error('accepted');
    };
    const tls = tlsFiles(files);
    for (const wrong of [7, 'ca.crt', {}, null])
      expect(refused({ tls: wrong })).to.include({ option: 'tls' });
    expect(refused({ tls: { current: () => ({ ca: 'secret' }) } }))
      .to.include({ option: 'ca' })
      .and.property('message')
      .not.include('secret');
    for (const told of [undefined, null, 'ca.crt', Promise.resolve({ ca: 'secret' })]) {
      expect(refused({ tls: { current: () => told } }))
        .to.include({ option: 'tls.current()' })
        .and.property('message')
        .match(/must return an object with ca, cert and key, got /)
        .not.include('secret');
    }
    for (const option of ['ca', 'cert', 'key', 'pfx', 'passphrase']) {
      expect(refused({ tls, [option]: 'secret' })).to.include({
        option,
        message: `${option} stands beside tls, which tells it: give one of the two`,
      });
    }
    expect(httpsAgent(stage.recorder, { tls, ca: undefined })).to.have.property('keepAlive', true);
  });
});
