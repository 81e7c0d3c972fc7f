import { expect } from 'chai';
import type { ServerResponse } from 'node:http';
import { EndpointError, TransportError } from '../../../lib/index.js';
import {
  TlsHandshakeTimeoutError,
  undiciConnector,
  UndiciSocketError,
  type UndiciConnectorOptions,
} from '../../../lib/http/index.js';
import { gate, rejection, silent, turns, until } from '../../support/dialer.js';
import { closedPort, Stage } from '../stage.js';
import { anyName, ca, sayWhat, serveHttps } from './endpoint.js';
import { fetches } from './fetches.js';

for (const { name, Agent, fetch } of fetches) {
  describe(`http: ${name} with undiciConnector`, () => {
    let stage: Stage;
    beforeEach(async () => (stage = await Stage.start(anyName)));
    afterEach(() => stage.end());

    const agent = (options?: UndiciConnectorOptions, agentOptions: object = {}) => {
      const connect = undiciConnector(stage.recorder, { ca, ...options });
      const dispatcher = new Agent({ connect, ...agentOptions });
      stage.onEnd(() => dispatcher.destroy());
      return dispatcher;
    };
    const get = async (url: string, dispatcher = agent()): Promise<string> =>
      (await fetch(url, { dispatcher })).text();
    const causeOf = async (failing: Promise<unknown>): Promise<Error & { code?: string }> =>
      (await rejection<{ cause: Error }>(failing)).cause;

    it('goes to an endpoint behind a node, over HTTP and HTTPS', async () => {
      const plain = await stage.http(sayWhat);
      const secure = await serveHttps(stage, sayWhat);
      const dispatcher = agent();
      expect(await get(`http://127.0.0.1:${plain.port}/a`, dispatcher)).to.equal('GET /a');
      expect(await get(`https://127.0.0.1:${secure.port}/b`, dispatcher)).to.equal('GET /b');
      expect(stage.recorder.sockets).to.have.length(2);
    });

    it('goes to an IPv6 address', async () => {
      const { port } = await stage.http(sayWhat);
      await get(`http://[fd00::1]:${port}/`);
      expect(stage.recorder.last.remoteAddress).to.equal('fd00::1');
    });

    it('sends 20 requests one after the other through one channel', async () => {
      const { port } = await serveHttps(stage, sayWhat);
      const dispatcher = agent({}, { connections: 1 });
      for (let count = 0; count < 20; count += 1) await get(`https://127.0.0.1:${port}/`, dispatcher);
      expect(stage.ssh.totalChannels).to.equal(1);
    });

    it('carries the requests by the node that is asked for', async () => {
      const { port } = await stage.http(sayWhat);
      const error = await causeOf(get(`http://127.0.0.1:${port}/`, agent({ node: 'node-2' })));
      expect(error).to.include({ code: 'ERR_TUNNEL_NO_ROUTE' });
    });

    it('has the error of a dial as its cause', async () => {
      const port = await closedPort();
      const error = await causeOf(get(`http://127.0.0.1:${port}/`));
      expect(error).to.be.instanceOf(EndpointError).and.include({ code: 'ECONNREFUSED', port });
    });

    it('verifies an endpoint against the host of the URL', async () => {
      const { port } = await serveHttps(stage, sayWhat);
      expect(await get(`https://node-1.example:${port}/`)).to.equal('GET /');
      const error = await causeOf(get(`https://node-2.example:${port}/`));
      expect(error).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
      await stage.ssh.until(({ channels }) => channels <= 1);
    });

    it('verifies an endpoint against servername where that is given', async () => {
      const { port } = await serveHttps(stage, sayWhat);
      const servername = 'node-1.example';
      expect(await get(`https://10.9.9.9:${port}/`, agent({ servername }))).to.equal('GET /');
    });

    it('verifies the chain unless told otherwise', async () => {
      const { port } = await serveHttps(stage, sayWhat);
      const url = `https://127.0.0.1:${port}/`;
      const error = await causeOf(get(url, agent({ ca: undefined })));
      expect(error.code).to.match(/^UNABLE_TO_|^SELF_SIGNED/);
      const insecure = agent({ ca: undefined, rejectUnauthorized: false });
      expect(await get(url, insecure)).to.equal('GET /');
    });

    it('does not take a session with one host for another', async () => {
      const { port } = await serveHttps(stage, sayWhat);
      const dispatcher = agent();
      await get(`https://node-1.example:${port}/`, dispatcher);
      const error = await causeOf(get(`https://node-2.example:${port}/`, dispatcher));
      expect(error).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    });

    it('fails when the TLS handshake takes too long, and leaves no channel', async () => {
      const { port } = await stage.endpoint(silent);
      const error = await causeOf(get(`https://127.0.0.1:${port}/`, agent({ tlsHandshakeTimeoutMs: 30 })));
      expect(error).to.be.instanceOf(TlsHandshakeTimeoutError).and.include({ node: 'node-1', port });
      await stage.ssh.until(({ channels }) => channels === 0);
    });

    it('fails when the dial takes too long', async () => {
      // So that it is the endpoint that takes too long, and not the login.
      (await stage.recorder.dial('127.0.0.1', await closedPort()).catch(() => undefined))?.destroy();
      stage.ssh.faults.neverAnswer();
      const error = await causeOf(get('http://10.0.0.11/', agent({ dialTimeoutMs: 30 })));
      expect(error).to.include({ name: 'DialTimeoutError', phase: 'open' });
    });

    it('fails with the error of the tunnel when that is lost in the handshake', async () => {
      const { opened: greeted, open } = gate();
      const { port } = await stage.endpoint((socket) => void socket.once('data', open));
      const failed = causeOf(get(`https://127.0.0.1:${port}/`));
      await greeted;
      stage.ssh.cut('rst');
      expect(await failed).to.be.instanceOf(TransportError);
    });

    it('fails when the endpoint ends the handshake', async () => {
      const { port } = await stage.endpoint((socket) => void socket.resume().end());
      expect(await causeOf(get(`https://127.0.0.1:${port}/`))).to.include({ code: 'ECONNRESET' });
      await stage.ssh.until(({ channels }) => channels === 0);
    });

    for (const url of ['http://10.0.0.11/', 'https://10.0.0.11/']) {
      it(`is given up by the signal while it dials ${url}`, async () => {
        stage.ssh.faults.neverAnswer();
        const abort = new AbortController();
        const dispatcher = agent({ signal: abort.signal });
        const failed = causeOf(get(url, dispatcher));
        await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
        const reason = new Error('no more');
        abort.abort(reason);
        expect(await failed).to.equal(reason);
        expect(stage.recorder.options[0]?.signal?.aborted).to.equal(true);
        expect(await causeOf(get(url, dispatcher))).to.equal(reason);
      });
    }

    it('leaves no channel when it was aborted while it was dialled', async () => {
      const { port } = await serveHttps(stage, sayWhat);
      const { opened, open } = gate();
      stage.ssh.faults.confirmLate(opened);
      const dispatcher = agent();
      const abort = new AbortController();
      const url = `https://127.0.0.1:${port}/`;
      const failed = rejection(fetch(url, { dispatcher, signal: abort.signal }));
      await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
      abort.abort();
      expect(await failed).to.include({ name: 'AbortError' });
      open();
      await stage.ssh.until(({ channels, pendingOpens }) => channels === 0 && pendingOpens === 0);
      expect(await get(url, dispatcher)).to.equal('GET /');
    });

    it('leaves no channel when its agent was destroyed while it was dialled', async () => {
      const { port } = await serveHttps(stage, sayWhat);
      const { opened, open } = gate();
      stage.ssh.faults.confirmLate(opened);
      const dispatcher = agent();
      const failed = rejection(get(`https://127.0.0.1:${port}/`, dispatcher));
      await stage.ssh.until(({ pendingOpens }) => pendingOpens === 1);
      await dispatcher.destroy();
      await failed;
      open();
      await stage.ssh.until(({ channels, pendingOpens }) => channels === 0 && pendingOpens === 0);
    });

    it('closes its channel when the response is given up', async () => {
      const { port } = await stage.http((_request, response) => void response.write('the first part'));
      const { body } = await fetch(`http://127.0.0.1:${port}/`, { dispatcher: agent() });
      await body?.cancel();
      await stage.ssh.until(({ channels }) => channels === 0);
    });

    it('does not hold up the closing of the dialer when it is idle', async () => {
      const { port } = await serveHttps(stage, sayWhat);
      // undici itself is to keep it for longer than the dialer waits.
      await get(`https://127.0.0.1:${port}/`, agent({}, { keepAliveTimeout: 600_000 }));
      await stage.recorder.close();
      expect(stage.recorder.last.errored).to.equal(null);
    });

    const framings: Record<string, (response: ServerResponse) => void> = {
      'content-length': (response) => void response.setHeader('content-length', 1000),
      chunked: () => undefined,
      'the end of the connection': (response) => {
        response.useChunkedEncodingByDefault = false;
        response.setHeader('connection', 'close');
      },
    };

    for (const serve of [(...args) => stage.http(...args), (...args) => serveHttps(stage, ...args)] as ((
      listener: Parameters<Stage['http']>[0],
    ) => ReturnType<Stage['http']>)[]) {
      const scheme = serve.toString().includes('stage.http') ? 'http' : 'https';

      for (const [framing, frame] of Object.entries(framings)) {
        it(`fails a response over ${scheme} that is delimited by ${framing} when its tunnel is lost`, async () => {
          const { port } = await serve((_request, response) => {
            frame(response);
            response.write('the first part');
          });
          const response = await fetch(`${scheme}://127.0.0.1:${port}/`, { dispatcher: agent() });
          const failed = causeOf(response.text());
          stage.ssh.cut('rst');
          const error = await failed;
          expect(error).to.be.instanceOf(UndiciSocketError).and.include({ code: 'UND_ERR_SOCKET' });
          expect(error.cause).to.be.instanceOf(TransportError);
        });
      }

      it(`ends a response over ${scheme} that is delimited by the end of the connection and complete`, async () => {
        const { port } = await serve((_request, response) => {
          framings['the end of the connection']?.(response);
          response.end('all of it');
        });
        expect(await get(`${scheme}://127.0.0.1:${port}/`)).to.equal('all of it');
      });

      it(`is not given an idle stream over ${scheme} whose tunnel was lost`, async () => {
        const { port } = await serve(sayWhat);
        const dispatcher = agent();
        const url = `${scheme}://127.0.0.1:${port}/`;
        await get(url, dispatcher);
        const lost = new Promise((resolve) => stage.recorder.last.once('close', resolve));
        stage.ssh.cut('fin');
        await lost;
        expect(await get(url, dispatcher)).to.equal('GET /');
        expect(stage.ssh.totalConnections).to.equal(2);
      });

      it(`is not given a stream over ${scheme} that is lost in the same turn of the event loop`, async () => {
        const { port } = await serve(sayWhat);
        const dispatcher = agent();
        const url = `${scheme}://127.0.0.1:${port}/`;
        await get(url, dispatcher);
        await turns(2);
        stage.recorder.last.destroy(new Error('lost'));
        expect(await get(url, dispatcher)).to.equal('GET /');
        expect(stage.recorder.sockets).to.have.length(2);
      });
    }

    it('makes as many streams as the agent may', async () => {
      const { port } = await serveHttps(stage, sayWhat);
      const dispatcher = agent({}, { connections: 3 });
      await Promise.all(Array.from({ length: 12 }, () => get(`https://127.0.0.1:${port}/`, dispatcher)));
      await until('all streams', () => stage.recorder.sockets.length === 3);
    });
  });
}
