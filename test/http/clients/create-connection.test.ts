import { expect } from 'chai';
import http from 'node:http';
import https from 'node:https';
import { text } from 'node:stream/consumers';
import { EndpointError, InvalidOptionError, TransportError } from '../../../lib/index.js';
import {
  httpConnection,
  httpsConnection,
  TlsHandshakeTimeoutError,
  type CreateConnection,
  type TunnelTlsConnectionOptions,
} from '../../../lib/http/index.js';
import { rejection, silent } from '../../support/dialer.js';
import { closedPort, Stage } from '../stage.js';
import { anyName, ca, sayWhat, serveHttps } from './endpoint.js';

for (const scheme of ['http', 'https'] as const) {
  describe(`http: ${scheme}.request with ${scheme}Connection`, () => {
    let stage: Stage;
    beforeEach(async () => (stage = await Stage.start(anyName)));
    afterEach(() => stage.end());

    const serve = (listener: http.RequestListener) =>
      scheme === 'http' ? stage.http(listener) : serveHttps(stage, listener);
    const connection = (options?: TunnelTlsConnectionOptions): CreateConnection =>
      scheme === 'http'
        ? httpConnection(stage.recorder, options)
        : httpsConnection(stage.recorder, { ca, ...options });
    const ask = (options: https.RequestOptions): Promise<http.IncomingMessage> =>
      new Promise((resolve, reject) => {
        const { request } = scheme === 'http' ? http : https;
        request({ host: '127.0.0.1', createConnection: connection(), ...options }, resolve)
          .on('error', reject)
          .end();
      });

    it('has a stream of its own for each request, and leaves none', async () => {
      const { port } = await serve(sayWhat);
      for (const path of ['/a', '/b']) expect(await text(await ask({ port, path }))).to.equal(`GET ${path}`);
      await stage.ssh.until(({ channels }) => channels === 0);
      expect(stage.ssh.totalChannels).to.equal(2);
    });

    it('fails with the error of the dial', async () => {
      const error = await rejection(ask({ port: await closedPort() }));
      expect(error).to.be.instanceOf(EndpointError).and.include({ code: 'ECONNREFUSED' });
    });

    it('fails a response of unknown length when the tunnel is lost', async () => {
      const { port } = await serve((_request, response) => {
        response.useChunkedEncodingByDefault = false;
        response.write('the first part');
      });
      const response = await ask({ port });
      const failed = rejection(text(response));
      stage.ssh.cut('rst');
      expect(await failed).to.be.instanceOf(TransportError);
    });

    it('gives the dial up of a request that is destroyed', async () => {
      stage.ssh.faults.neverAnswer();
      const abort = new AbortController();
      const failed = rejection(ask({ port: 80, signal: abort.signal }));
      await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
      abort.abort();
      expect(await failed).to.include({ name: 'AbortError' });
      expect(stage.recorder.options[0]?.signal?.aborted).to.equal(true);
    });

    it('gives the dial up with its own signal', async () => {
      stage.ssh.faults.neverAnswer();
      const abort = new AbortController();
      const createConnection = connection({ signal: abort.signal });
      const failed = rejection(ask({ port: 80, createConnection }));
      await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
      const reason = new Error('no more');
      abort.abort(reason);
      expect(await failed).to.equal(reason);
    });

    it("emits the request's timeout, for a dial and for an endpoint that never answers", async () => {
      const { port } = await stage.endpoint(silent);
      const timedOut = (): Promise<void> =>
        new Promise((resolve, reject) => {
          const { request } = scheme === 'http' ? http : https;
          const asking = request({ host: '127.0.0.1', port, createConnection: connection(), timeout: 30 });
          asking.on('timeout', () => asking.destroy(new Error('mine'))).on('error', () => undefined);
          asking.once('timeout', resolve).once('response', reject).end();
        });
      await timedOut();
      stage.ssh.faults.neverAnswer();
      await timedOut();
      await stage.ssh.until(({ channels }) => channels === 0);
    });

    it('carries the request by the node that is asked for', async () => {
      const error = await rejection(ask({ port: 80, createConnection: connection({ node: 'node-2' }) }));
      expect(error).to.include({ code: 'ERR_TUNNEL_NO_ROUTE' });
    });

    it('refuses a request to a UNIX socket, and what is no request', () => {
      const create = connection();
      for (const wrong of [{ socketPath: '/run/x.sock' }, 80, '/run/x.sock'])
        expect(() => create(wrong)).to.throw(InvalidOptionError);
      expect(stage.recorder.options).to.be.empty;
    });

    if (scheme === 'http') return;

    it('verifies the endpoint against the host of the request, whatever the host header says', async () => {
      const { port } = await serve(sayWhat);
      expect((await ask({ port, host: 'node-1.example' })).statusCode).to.equal(200);
      const headers = { host: 'node-1.example' };
      expect(await rejection(ask({ port, host: 'evil.example', headers }))).to.include({
        code: 'ERR_TLS_CERT_ALTNAME_INVALID',
      });
    });

    it('takes TLS options of the request, but for those of its own', async () => {
      const { port } = await serve(sayWhat);
      const createConnection = httpsConnection(stage.recorder);
      expect((await ask({ port, createConnection, ca })).statusCode).to.equal(200);
      const strict = httpsConnection(stage.recorder, { rejectUnauthorized: true });
      const asking = ask({ port, createConnection: strict, rejectUnauthorized: false });
      expect(await rejection(asking)).to.have.property('code');
    });

    it('fails when the handshake takes too long', async () => {
      const { port } = await stage.endpoint(silent);
      const createConnection = connection({ tlsHandshakeTimeoutMs: 30 });
      expect(await rejection(ask({ port, createConnection }))).to.be.instanceOf(TlsHandshakeTimeoutError);
      await stage.ssh.until(({ channels }) => channels === 0);
    });

    it('leaves no dial behind when the request asks for what TLS cannot do', async () => {
      const error = await rejection(ask({ port: 1, cert: 'no certificate' }));
      expect(error.message).to.match(/PEM/i);
      expect(stage.recorder.options.map(({ signal }) => signal?.aborted)).to.deep.equal([true]);
    });
  });
}
