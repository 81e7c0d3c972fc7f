import { expect } from 'chai';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { InvalidOptionError, tlsFiles } from '../../lib/index.js';
import { KubeletCertificateError, KubeletError, type KubeletClientOptions } from '../../lib/kubelet/index.js';
import { createAuthority, type KeyAndCertificate } from '../../lib/testing/certificates.js';
import { rejection, until } from '../support/dialer.js';
import { KubeletStage } from './stage.js';

const fingerprintOf = (pem: string): string => new X509Certificate(pem).fingerprint256;

describe('kubelet: who answers, and who asks', () => {
  let stage: KubeletStage;
  afterEach(() => stage.end());

  describe('of a cluster’s authority', () => {
    beforeEach(async () => (stage = await KubeletStage.start()));

    const healthz = (changes: Partial<KubeletClientOptions>): Promise<string> =>
      stage.client(changes).healthz();
    const none = { certificateAuthority: undefined };

    it('is verified by the authority, and by the address', async () => {
      expect(await healthz({})).to.equal('ok');
      const other = createAuthority('other').certificate;
      expect(await rejection(healthz({ certificateAuthority: other }))).to.have.property('code');
      expect(await healthz({ certificateAuthority: [other, stage.kubelet.certificateAuthority] })).to.equal(
        'ok',
      );
      stage.kubelet.replaceCertificate({ altNames: ['10.9.8.7'] });
      expect(await rejection(healthz({}))).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
      expect(await healthz({ serverName: 'node-1' }).catch((error: unknown) => error)).to.include({
        code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      });
    });

    it('is verified by another name where one is given', async () => {
      stage.kubelet.replaceCertificate({ altNames: ['node-1'] });
      expect(await healthz({ serverName: 'node-1' })).to.equal('ok');
    });

    it('is verified by its subject where that is wanted', async () => {
      expect(await healthz({ verifySubject: true })).to.equal('ok');
      const wrong = [
        { commonName: 'system:node:node-2' },
        { organization: 'system:masters' },
        { commonName: 'node-1' },
      ];
      for (const change of wrong) {
        stage.kubelet.replaceCertificate(change);
        expect(await healthz({})).to.equal('ok');
        const error = await rejection(healthz({ verifySubject: true }));
        expect(error).to.be.instanceOf(KubeletCertificateError);
        expect(error.message).to.include('system:node:node-1');
      }
    });

    it('is not believed for its subject alone', async () => {
      stage.kubelet.replaceCertificate({ newAuthority: true });
      const old = stage.options().certificateAuthority;
      stage.kubelet.replaceCertificate({ newAuthority: true });
      const error = await rejection(healthz({ certificateAuthority: old, verifySubject: true }));
      expect(error).not.to.be.instanceOf(KubeletCertificateError);
    });

    it('is told its token by a string, a function or a file, and by the function and the file anew', async () => {
      const { token } = stage.kubelet;
      const tokens = [token, 'wrong', token];
      const client = stage.client({ token: () => Promise.resolve(`${tokens.shift() ?? ''}\n`) });
      expect(await client.healthz()).to.equal('ok');
      expect(await rejection(client.healthz())).to.include({ code: 'ERR_KUBELET_UNAUTHORIZED' });
      expect(await client.healthz()).to.equal('ok');
      expect(await rejection(client.healthz())).to.be.instanceOf(InvalidOptionError);

      const folder = await mkdtemp(join(tmpdir(), 'kubelet-token-'));
      stage.onEnd(() => rm(folder, { recursive: true }));
      const path = join(folder, 'token');
      await writeFile(path, 'not-this-one\n');
      const byFile = stage.client({ token: undefined, tokenFile: path });
      expect(await rejection(byFile.healthz())).to.include({ status: 401 });
      await writeFile(path, `${token}\n`);
      let said = '';
      while (said !== 'ok') said = await byFile.healthz().catch(() => '');
    });

    it('is shown a certificate, and the new one after a rotation', async () => {
      const { certificate, privateKey } = stage.kubelet.clientCertificate({ commonName: 'first' });
      const shown = { token: undefined, clientCertificate: certificate, clientKey: privateKey };
      expect(await healthz(shown)).to.equal('ok');
      expect(stage.kubelet.requests.at(-1)?.user).to.equal('first');

      const folder = await mkdtemp(join(tmpdir(), 'kubelet-tls-'));
      stage.onEnd(() => rm(folder, { recursive: true }));
      const [caFile, certFile, keyFile] = ['ca', 'crt', 'key'].map((name) => join(folder, name)) as [
        string,
        string,
        string,
      ];
      const write = async (pair: { certificate: string; privateKey: string }): Promise<void> => {
        await writeFile(certFile, pair.certificate);
        await writeFile(keyFile, pair.privateKey);
      };
      await writeFile(caFile, stage.kubelet.certificateAuthority);
      await write(stage.kubelet.clientCertificate({ commonName: 'second' }));
      const tls = tlsFiles({ caFile, certFile, keyFile, intervalMs: 1 });
      const client = stage.client({ ...none, token: undefined, tls });
      expect(await client.healthz()).to.equal('ok');
      expect(stage.kubelet.requests.at(-1)?.user).to.equal('second');
      const before = tls.current();
      await write(stage.kubelet.clientCertificate({ commonName: 'third' }));
      await until('the new certificate', () => tls.current() !== before);
      stage.ssh.cut('rst');
      await until('the loss', () => stage.ssh.channels === 0);
      expect(await client.healthz()).to.equal('ok');
      expect(stage.kubelet.requests.at(-1)?.user).to.equal('third');
    });

    const wrong: [string, Record<string, unknown>][] = [
      ['certificateAuthority', none],
      ['certificateAuthority', { certificateAuthority: 'no PEM' }],
      ['certificateAuthority', { certificateAuthority: '/etc/kubernetes/pki/ca.crt' }],
      ['insecureSkipTLSVerify', { insecureSkipTLSVerify: true }],
      ['pinnedCertificate', { pinnedCertificate: 'ab'.repeat(32) }],
      ['pinnedCertificate', { ...none, pinnedCertificate: 'ab:cd' }],
      ['tls', { tls: { current: () => ({ ca: 'x' }) } }],
      ['verifySubject', { ...none, insecureSkipTLSVerify: true, verifySubject: true }],
      ['serverName', { ...none, pinnedCertificate: 'ab'.repeat(32), serverName: 'node-1' }],
      ['clientKey', { clientCertificate: 'x' }],
      ['clientCertificate', { clientKey: 'x' }],
      ['clientCertificate', { clientCertificate: 'x', clientKey: 'y' }],
      ['token', { token: 'two words' }],
      ['token', { token: 42 }],
      ['tokenFile', { tokenFile: '/nowhere/token', token: undefined }],
      ['tokenFile', { tokenFile: '/nowhere/token' }],
      ['timeoutMs', { timeoutMs: 0 }],
      ['insecureSkipTlsVerify', { insecureSkipTlsVerify: true }],
    ];
    for (const [option, changes] of wrong) {
      it(`is not asked with wrong options: ${JSON.stringify(changes)}`, () => {
        const make = (): unknown => stage.client(changes);
        expect(make).to.throw(InvalidOptionError).with.property('option', option);
      });
    }

    it('keeps keys and tokens out of what is shown of a client', async () => {
      const { certificate, privateKey } = stage.kubelet.clientCertificate();
      const client = stage.client({ clientCertificate: certificate, clientKey: privateKey });
      await client.healthz();
      const shown = inspect(client, { depth: 12, showHidden: true });
      expect(shown).not.to.include('PRIVATE KEY').and.not.include(stage.kubelet.token);
    });
  });

  describe('that has signed its certificate itself', () => {
    beforeEach(async () => (stage = await KubeletStage.start({ certificate: 'self-signed' })));

    const pinned = (pinnedCertificate: string): Partial<KubeletClientOptions> => ({
      certificateAuthority: undefined,
      pinnedCertificate,
    });

    it('is known by its pinned certificate, in whatever spelling', async () => {
      const fingerprint = fingerprintOf(stage.kubelet.certificateAuthority);
      const spellings = [fingerprint, fingerprint.toLowerCase(), fingerprint.replaceAll(':', '')];
      // As OpenSSL 1.1 and 3 print it.
      const lines = ['SHA256 Fingerprint', 'sha256 Fingerprint'].map((name) => `${name}=${fingerprint}\n`);
      for (const spelt of [...spellings, ...lines])
        expect(await stage.client(pinned(spelt)).healthz()).to.equal('ok');
      const client = stage.client(pinned(fingerprint));
      expect(await Promise.all(Array.from({ length: 5 }, () => client.healthz()))).to.have.length(5);
    });

    it('is refused with another one, and told nothing', async () => {
      const client = stage.client(pinned('ab'.repeat(32)));
      const error = await rejection(client.healthz());
      expect(error).to.be.instanceOf(KubeletCertificateError);
      expect(error.message).to.include(fingerprintOf(stage.kubelet.certificateAuthority));
      expect(
        await rejection(
          client.logs({ namespace: 'default', pod: 'web', container: 'app', follow: { resume: true } }),
        ),
      ).to.be.instanceOf(KubeletCertificateError);
      expect(stage.kubelet.requests).to.have.length(0);
    });

    it('is believed by name only', async () => {
      expect(
        await rejection(stage.client({ certificateAuthority: createAuthority('x').certificate }).healthz()),
      ).to.have.property('code');
      const client = stage.client({ certificateAuthority: undefined, insecureSkipTLSVerify: true });
      expect(await client.healthz()).to.equal('ok');
    });
  });

  describe('that is an impostor', () => {
    let server: TlsServer;
    let heard: string;
    let impostor: KeyAndCertificate;

    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      it(`hears no byte of a request, and so no token (${maxVersion})`, async () => {
        stage = await KubeletStage.start();
        heard = '';
        impostor = createAuthority('impostor').issue({
          commonName: 'system:node:node-1',
          organization: 'system:nodes',
          altNames: ['127.0.0.1'],
        });
        server = createServer(
          { cert: impostor.certificate, key: impostor.privateKey, maxVersion },
          (socket: TLSSocket) => {
            socket.on('data', (chunk: Buffer) => (heard += chunk.toString())).on('error', () => undefined);
          },
        );
        server.on('tlsClientError', () => undefined).listen(0, '127.0.0.1');
        await once(server, 'listening');
        stage.onEnd(() => server.close());
        const { port } = server.address() as AddressInfo;
        const node = { name: 'node-1', address: '127.0.0.1', port };
        const ways: Partial<KubeletClientOptions>[] = [
          {},
          { verifySubject: true },
          {
            certificateAuthority: undefined,
            pinnedCertificate: fingerprintOf(stage.kubelet.certificateAuthority),
          },
        ];
        for (const way of ways) {
          const closed = new Promise((resolve) =>
            server
              .once('secureConnection', (socket) => socket.once('close', resolve))
              .once('tlsClientError', resolve),
          );
          expect(await rejection(stage.client({ node, ...way }).healthz())).not.to.be.instanceOf(
            KubeletError,
          );
          await closed;
        }
        expect(heard).to.equal('');
      });
    }
  });
});
