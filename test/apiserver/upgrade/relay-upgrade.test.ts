import { expect } from 'chai';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { createSecureServer } from 'node:http2';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { StatusError } from '../../../lib/apiserver/index.js';
import { createAuthority } from '../../../lib/testing/index.js';
import { gate, read, readAll, until } from '../../support/dialer.js';
import { authority, Proxy, statusIn, SWITCHING, upgradeRequest, type Reach } from './stage.js';

const serving = authority.issue({ commonName: 'backend', altNames: ['127.0.0.1'] });
const tls = { cert: serving.certificate, key: serving.privateKey };

/** Answers the head of a request once, as it says. */
const answering =
  (answer: string, then: (socket: Socket) => void = () => undefined) =>
  (socket: Socket): void =>
    void socket.once('data', () => socket.write(answer, () => then(socket)));

describe('apiserver: relayUpgrade', () => {
  let proxy: Proxy;
  beforeEach(async () => {
    proxy = await Proxy.start();
  });
  afterEach(() => proxy.end());

  describe('AC-26 carries an echo over WebSocket to a backend', () => {
    /** Says hello to everything it is told. */
    async function hello(server: Server | https.Server): Promise<number> {
      const sockets = new WebSocketServer({ noServer: true });
      server.on('upgrade', (request, socket: Duplex, head) => {
        proxy.onEnd(() => socket.destroy());
        sockets.handleUpgrade(request, socket, head, (ws) => {
          ws.on('message', (text: Buffer) => ws.send(`hello ${text.toString()}`));
        });
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      proxy.onEnd(() => new Promise((resolve) => server.close(resolve)));
      return (server.address() as AddressInfo).port;
    }

    async function greeted(): Promise<string> {
      const ws = new WebSocket(proxy.url);
      proxy.onEnd(() => ws.terminate());
      await once(ws, 'open');
      ws.send('world');
      const [answer] = (await once(ws, 'message')) as [Buffer];
      ws.close();
      await once(ws, 'close');
      expect(await proxy.over()).to.equal(undefined);
      return answer.toString();
    }

    it('over http', async () => {
      proxy.to(await hello(createServer()));
      expect(await greeted()).to.equal('hello world');
    });

    const verified: Record<string, Reach> = {
      'over https that is not verified': { tls: { rejectUnauthorized: false } },
      'over https that is verified by its authority': { tls: { ca: authority.certificate } },
    };
    for (const [how, reach] of Object.entries(verified)) {
      it(how, async () => {
        proxy.to(await hello(https.createServer(tls)), reach);
        expect(await greeted()).to.equal('hello world');
      });
    }

    it('that would rather speak HTTP/2', async () => {
      const server = createSecureServer({ ...tls, allowHTTP1: true }) as unknown as https.Server;
      proxy.to(await hello(server), { tls: { ca: authority.certificate } });
      expect(await greeted()).to.equal('hello world');
    });

    it('through a tunnel, with TLS and without', async () => {
      const node = await proxy.node();
      const dialer = proxy.dialer([node]);
      const [plain, secure] = [await hello(createServer()), await hello(https.createServer(tls))];
      proxy.to(plain, { dialer });
      expect(await greeted()).to.equal('hello world');
      proxy.to(secure, { dialer, tls: { ca: authority.certificate } });
      expect(await greeted()).to.equal('hello world');
    });

    it('and tells of one whose certificate another authority has issued', async () => {
      const port = await hello(https.createServer(tls));
      proxy.to(port, { tls: { ca: createAuthority('other').certificate } });
      const { code, message } = statusIn(await proxy.answer(upgradeRequest()));
      expect(code).to.equal(500);
      expect(message).to.match(/^error dialing backend: .*(certificate|signature)/);
    });
  });

  for (const status of [400, 403, 500]) {
    it(`AC-27 passes on a refusal, ${status}, with its body, and no second request`, async () => {
      const body = 'some data';
      const answer = `HTTP/1.1 ${status} Some Words\r\nX-Its: own\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      const backend = await proxy.toRaw(answering(answer));
      const statuses: number[] = [];
      proxy.options = { ...proxy.options, onAnswer: (told) => statuses.push(told) };
      const second = 'GET /second HTTP/1.1\r\nHost: proxy\r\n\r\n';
      expect(await proxy.answer(upgradeRequest() + second)).to.equal(
        `HTTP/1.1 ${status} Some Words\r\nX-Its: own\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      );
      expect(await proxy.over()).to.equal(undefined);
      expect(backend.received).to.include('GET /exec').and.not.include('second');
      expect(statuses).to.deep.equal([status]);
    });
  }

  it('AC-27 lets no second request go on that comes while the refusal is on its way', async () => {
    const backend = await proxy.toRaw(answering('HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\n\r\nab'));
    const client = proxy.send(upgradeRequest());
    await read(client, 'HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\nConnection: close\r\n\r\nab'.length);
    client.write('GET /second HTTP/1.1\r\nHost: proxy\r\n\r\n');
    backend.sockets[0]?.write('cd');
    expect((await readAll(client)).toString()).to.equal('cd');
    await proxy.over();
    expect(backend.received).not.to.include('second');
  });

  for (const status of [100, 103, 199, 200, 204, 300, 302, 307]) {
    it(`AC-28 takes ${status} for no answer to an upgrade, and follows nothing`, async () => {
      const backend = await proxy.toRaw(
        answering(`HTTP/1.1 ${status} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n`),
      );
      const answer = await proxy.answer(upgradeRequest());
      expect(answer).to.match(/^HTTP\/1\.1 500 Internal Server Error\r\n/);
      expect(answer).to.include('Content-Type: application/json');
      expect(statusIn(answer)).to.deep.equal({
        kind: 'Status',
        apiVersion: 'v1',
        metadata: {},
        status: 'Failure',
        message: `invalid upgrade response: status code ${status}`,
        code: 500,
      });
      expect(backend.sockets).to.have.length(1);
      await until('its end', () => backend.isGone);
    });
  }

  it('AC-29 tells of a backend that cannot be reached', async () => {
    const { code, message } = statusIn(await proxy.answer(upgradeRequest()));
    expect({ code, message }).to.deep.equal({ code: 500, message: 'error dialing backend: nasty error' });
  });

  it('AC-29 tells of a connection that breaks while the request is being written', async () => {
    await proxy.toRaw(() => undefined);
    const { backend } = proxy;
    const connect = async (signal?: AbortSignal): Promise<Duplex> => {
      const socket = await backend.connect(signal);
      socket._write = (_chunk, _encoding, callback) => callback(new Error('nasty error'));
      socket._writev = (_chunks, callback) => callback(new Error('nasty error'));
      return socket;
    };
    proxy.options = { backend: { ...backend, connect } };
    const { code, message } = statusIn(await proxy.answer(upgradeRequest()));
    expect({ code, message }).to.deep.equal({ code: 500, message: 'error sending request: nasty error' });
  });

  it('AC-29 tells of a connection that breaks before there is an answer', async () => {
    await proxy.toRaw((socket) => socket.once('data', () => socket.resetAndDestroy()));
    const { code, message } = statusIn(await proxy.answer(upgradeRequest()));
    expect(code).to.equal(500);
    expect(message).to.equal('error reading the upgrade response: read ECONNRESET');
  });

  it('AC-30 passes on what comes in one segment with the 101, and what came with the request', async () => {
    const backend = await proxy.toRaw(answering(`${SWITCHING}early from the backend`));
    const client = proxy.send(`${upgradeRequest()}early from the client`);
    const expected = `${SWITCHING}early from the backend`;
    expect((await read(client, expected.length)).toString()).to.equal(expected);
    await until('the early bytes', () => backend.received.endsWith('\r\n\r\nearly from the client'));
    client.end();
    expect(await proxy.over()).to.equal(undefined);
  });

  it('AC-30 keeps what the client sends early until there is a 101', async () => {
    const asked = gate();
    const backend = await proxy.toRaw((socket) => socket.once('data', asked.open));
    const client = proxy.send(`${upgradeRequest()}GET /second HTTP/1.1\r\n\r\n`);
    await asked.opened;
    client.write('more');
    expect(backend.received).not.to.include('second');
    backend.sockets[0]?.write(SWITCHING);
    await until('the early bytes', () => backend.received.endsWith('GET /second HTTP/1.1\r\n\r\nmore'));
  });

  it('passes a 101 on as it is, however it is written', async () => {
    const odd =
      'HTTP/1.1 101\r\nupgrade:websocket\r\nX-Twice: 1\r\nCONNECTION:   uPgrade  \r\nx-twice: 2\r\nX-8: \xe9\r\n\r\n';
    await proxy.toRaw((socket) => socket.once('data', () => socket.end(Buffer.from(odd, 'latin1'))));
    expect(await proxy.answer(upgradeRequest())).to.equal(odd);
  });

  it('gives up the dial when the client goes, and destroys what comes of it too late', async () => {
    const [dialling, late] = [gate(), gate()];
    const backend = await proxy.toRaw(() => undefined);
    const real = proxy.backend;
    let given: AbortSignal | undefined;
    const connect = async (signal?: AbortSignal): Promise<Duplex> => {
      given = signal;
      dialling.open();
      await late.opened;
      return real.connect();
    };
    proxy.options = { backend: { ...real, connect } };
    const client = proxy.send(upgradeRequest());
    await dialling.opened;
    client.destroy();
    expect(await proxy.over()).to.equal(undefined);
    expect(given?.aborted).to.equal(true);
    late.open();
    await until('a connection', () => backend.sockets.length === 1);
    await until('its end', () => backend.isGone);
    expect(backend.received).to.equal('');
  });

  it('gives up the backend when the client goes, or ends, before there is an answer', async () => {
    for (const go of [
      (client: Socket) => client.resetAndDestroy(),
      (client: Socket) => client.destroy(),
      (client: Socket) => client.end(),
    ]) {
      const asked = gate();
      const backend = await proxy.toRaw((socket) => socket.once('data', asked.open));
      const client = proxy.send(upgradeRequest());
      await asked.opened;
      go(client);
      expect(await proxy.over()).to.equal(undefined);
      await until('its end', () => backend.isGone);
    }
  });

  it('does not dial for a client that has gone already', async () => {
    const { serve } = proxy;
    let dials = 0;
    const connect = (): Promise<Duplex> => {
      dials += 1;
      return Promise.reject(new Error('dialled'));
    };
    proxy.options = { backend: { ...proxy.backend, connect } };
    proxy.serve = async (upgrade) => {
      upgrade.socket.destroy();
      await serve(upgrade);
    };
    await readAll(proxy.send(upgradeRequest())).catch(() => undefined);
    expect(await proxy.over()).to.equal(undefined);
    expect(dials).to.equal(0);
  });

  it("gives up with the signal's reason while there is no answer, and leaves nothing behind", async () => {
    const asked = gate();
    const backend = await proxy.toRaw((socket) => socket.once('data', asked.open));
    const stop = new AbortController();
    proxy.options = { ...proxy.options, signal: stop.signal };
    const client = proxy.send(upgradeRequest());
    await asked.opened;
    stop.abort(new StatusError(503, 'ServiceUnavailable', 'shutting down'));
    expect(statusIn((await readAll(client)).toString()).message).to.equal('shutting down');
    await until('its end', () => backend.isGone);
  });

  it('answers 504 for a backend that never answers', async () => {
    const backend = await proxy.toRaw(() => undefined);
    proxy.options = { ...proxy.options, answerTimeoutMs: 20 };
    const { code, reason } = statusIn(await proxy.answer(upgradeRequest()));
    expect({ code, reason }).to.deep.equal({ code: 504, reason: 'Timeout' });
    await until('its end', () => backend.isGone);
  });

  it('refuses what cannot be passed on before it dials', async () => {
    const backend = await proxy.toRaw(() => undefined);
    const refused = await proxy.answer(upgradeRequest('Transfer-Encoding: chunked'));
    expect(statusIn(refused)).to.include({ code: 400, reason: 'BadRequest' });
    expect(backend.sockets).to.have.length(0);
  });
});
