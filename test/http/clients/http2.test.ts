import { expect } from 'chai';
import { once } from 'node:events';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { EndpointError, TransportError } from '../../../lib/index.js';
import { http2Connection, type TunnelTlsConnectionOptions } from '../../../lib/http/index.js';
import { gate, rejection, silent } from '../../support/dialer.js';
import { closedPort, Stage } from '../stage.js';
import { anyName, ca, serverTls } from './endpoint.js';

const answer = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders): void => {
  stream.on('error', () => undefined);
  if (headers[':path'] === '/endless') stream.write('the first part');
  else (stream.respond({ 'x-path': headers[':path'] }), stream.end('ok'));
};

for (const scheme of ['http', 'https'] as const) {
  describe(`http: http2.connect to ${scheme} with http2Connection`, () => {
    let stage: Stage;
    let port: number;
    beforeEach(async () => {
      stage = await Stage.start(anyName);
      const server = scheme === 'http' ? http2.createServer() : http2.createSecureServer(serverTls);
      server.on('stream', answer).on('session', (session) => session.on('error', () => undefined));
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      ({ port } = server.address() as AddressInfo);
      stage.onEnd(() => new Promise<void>((resolve) => server.close(() => resolve())));
    });
    afterEach(() => stage.end());

    const connect = (
      host: string,
      options?: TunnelTlsConnectionOptions,
      at = port,
    ): http2.ClientHttp2Session => {
      const createConnection = http2Connection(stage.recorder, { ca, ...options });
      const session = http2.connect(`${scheme}://${host}:${at}`, { createConnection });
      stage.onEnd(() => session.destroy());
      return session;
    };
    const ended = (session: http2.ClientHttp2Session): Promise<Error> =>
      new Promise((resolve) => session.once('error', resolve));

    it('carries many requests at once over one channel', async () => {
      const session = connect('127.0.0.1');
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, index) => text(session.request({ ':path': `/${index}` }))),
      );
      expect(answers).to.deep.equal(Array(100).fill('ok'));
      expect(stage.ssh.totalChannels).to.equal(1);
      await new Promise<void>((resolve) => session.close(resolve));
      await stage.ssh.until(({ channels }) => channels === 0);
    });

    it('takes an IPv6 address in brackets', async () => {
      const session = connect('[fd00::1]', { servername: 'node-1.example' });
      expect(await text(session.request())).to.equal('ok');
      expect(stage.recorder.last.remoteAddress).to.equal('fd00::1');
    });

    it('fails what is under way when the tunnel is lost', async () => {
      const session = connect('127.0.0.1');
      const failed = ended(session);
      const request = session.request({ ':path': '/endless' });
      const cut = rejection(text(request));
      await once(request, 'response');
      stage.ssh.cut('rst');
      expect(await failed).to.be.instanceOf(TransportError);
      expect(await cut).to.be.instanceOf(Error);
      expect(session.destroyed).to.equal(true);
    });

    it('fails the session with the error of the dial', async () => {
      const session = connect('127.0.0.1', {}, await closedPort());
      const failed = ended(session);
      expect(await failed)
        .to.be.instanceOf(EndpointError)
        .and.include({ code: 'ECONNREFUSED' });
    });

    it('leaves no channel when the session is destroyed while it is dialled', async () => {
      const { opened, open } = gate();
      stage.ssh.faults.confirmLate(opened);
      const session = connect('127.0.0.1');
      await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
      const closed = once(session, 'close');
      session.destroy();
      open();
      await closed;
      await stage.ssh.until(({ channels, pendingOpens }) => channels === 0 && pendingOpens === 0);
    });

    it('gives the dial up with its signal', async () => {
      stage.ssh.faults.neverAnswer();
      const abort = new AbortController();
      const failed = ended(connect('127.0.0.1', { signal: abort.signal }));
      await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
      const reason = new Error('no more');
      abort.abort(reason);
      expect(await failed).to.equal(reason);
    });

    if (scheme === 'http') return;

    it('verifies the endpoint against the host of the URL', async () => {
      expect(await text(connect('node-1.example').request())).to.equal('ok');
      const error = await ended(connect('node-2.example'));
      expect(error).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    });

    for (const giveUp of ['destroy', 'close'] as const) {
      it(`gives the dial up when the session is told to ${giveUp}`, async () => {
        stage.ssh.faults.neverAnswer();
        const session = connect('127.0.0.1');
        await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
        const closed = once(session, 'close');
        session[giveUp]();
        await closed;
        expect(stage.recorder.options[0]?.signal?.aborted).to.equal(true);
        expect(stage.recorder.sockets).to.be.empty;
      });
    }

    it('gives the handshake up when the session is destroyed', async () => {
      const silence = await stage.endpoint(silent);
      const session = connect('127.0.0.1', {}, silence.port);
      await stage.ssh.until(({ channels }) => channels === 1);
      const closed = once(session, 'close');
      session.destroy();
      await closed;
      await stage.ssh.until(({ channels }) => channels === 0);
    });

    it('takes TLS options of http2.connect, but for those of its own', async () => {
      const createConnection = http2Connection(stage.recorder);
      const session = http2.connect(`https://127.0.0.1:${port}`, { createConnection, ca });
      stage.onEnd(() => session.destroy());
      expect(await text(session.request())).to.equal('ok');
    });

    it('fails when the handshake takes too long', async () => {
      const silence = await stage.endpoint(silent);
      const error = await ended(connect('127.0.0.1', { tlsHandshakeTimeoutMs: 30 }, silence.port));
      expect(error).to.include({ name: 'TlsHandshakeTimeoutError' });
      await stage.ssh.until(({ channels }) => channels === 0);
    });

    it('fails when the endpoint does not speak HTTP/2', async () => {
      const other = await stage.https(serverTls, (_request, response) => void response.end());
      const error = await ended(connect('127.0.0.1', {}, other.port));
      expect(error).to.be.instanceOf(Error);
      await stage.ssh.until(({ channels }) => channels === 0);
    });
  });
}
