import { expect } from 'chai';
import { once } from 'node:events';
import { createSecureServer } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import {
  Agent,
  Client,
  getGlobalDispatcher,
  Pool,
  request,
  RetryAgent,
  setGlobalDispatcher,
  upgrade,
  WebSocket,
} from 'undici';
import { WebSocketServer } from 'ws';
import { TransportError, type TlsCredentials } from '../../../lib/index.js';
import { undiciConnector, UndiciSocketError, type UndiciConnectorOptions } from '../../../lib/http/index.js';
import { gate, rejection, roundTrip } from '../../support/dialer.js';
import { Stage } from '../stage.js';
import { anyName, ca, sayWhat, serveHttps, serverTls } from './endpoint.js';

describe('http: undici with undiciConnector', () => {
  let stage: Stage;
  beforeEach(async () => (stage = await Stage.start(anyName)));
  afterEach(() => stage.end());

  const connect = (options?: UndiciConnectorOptions) => undiciConnector(stage.recorder, { ca, ...options });
  const closing = <Dispatcher extends { destroy(): Promise<void> }>(dispatcher: Dispatcher): Dispatcher => {
    stage.onEnd(() => dispatcher.destroy());
    return dispatcher;
  };

  it('serves a Client, a Pool and an Agent', async () => {
    const { port } = await serveHttps(stage, sayWhat);
    const origin = `https://127.0.0.1:${port}`;
    for (const dispatcher of [
      new Client(origin, { connect: connect() }),
      new Pool(origin, { connect: connect() }),
      new Agent({ connect: connect() }),
    ]) {
      const { body } = await request(origin, { dispatcher: closing(dispatcher) });
      expect(await body.text()).to.equal('GET /');
    }
  });

  it('has requests in a pipeline over one stream, and gives each its own answer', async () => {
    const { opened, open } = gate();
    let arrived = 0;
    const { port } = await stage.http(({ url }, response) => {
      if ((arrived += 1) === 4) open();
      void opened.then(() => response.end(`answer to ${url}`));
    });
    const client = closing(new Client(`http://127.0.0.1:${port}`, { connect: connect(), pipelining: 4 }));
    const paths = Array.from({ length: 20 }, (_, index) => `/${index}`);
    const answers = await Promise.all(
      paths.map(async (path) => (await client.request({ path, method: 'GET', blocking: false })).body.text()),
    );
    expect(answers).to.deep.equal(paths.map((path) => `answer to ${path}`));
    expect(stage.ssh.totalChannels).to.equal(1);
  });

  for (const means of ['a tunnel', 'a plain socket']) {
    it(`asks again for what was in the pipeline of ${means} that is lost, but for the first`, async () => {
      const [lost, asked]: [string[], string[]] = [[], []];
      const { opened: allAsked, open } = gate();
      const { server, port } = await stage.http(({ url = '' }, response) => {
        if (lost.length < 4) {
          lost.push(url);
          if (lost.length === 4) open();
        } else {
          asked.push(url);
          response.end(`answer to ${url}`);
        }
      });
      const accepted = once(server, 'connection') as Promise<[Socket]>;
      const own = means === 'a tunnel' ? { connect: connect() } : {};
      const client = closing(new Client(`http://127.0.0.1:${port}`, { ...own, pipelining: 4 }));
      const answers = ['/0', '/1', '/2', '/3'].map(async (path) =>
        (await client.request({ path, method: 'GET', blocking: false })).body.text(),
      );
      const settled = Promise.allSettled(answers);
      await allAsked;
      if (means === 'a tunnel') stage.ssh.cut('rst');
      else (await accepted)[0].resetAndDestroy();
      const [head, ...others] = await settled;
      expect(head).to.include({ status: 'rejected' });
      expect(others).to.deep.equal(
        ['/1', '/2', '/3'].map((path) => ({ status: 'fulfilled', value: `answer to ${path}` })),
      );
      expect([lost, asked]).to.deep.equal([
        ['/0', '/1', '/2', '/3'],
        ['/1', '/2', '/3'],
      ]);
    });
  }

  it('sends nothing behind a request in a pipeline that must not be sent twice', async () => {
    const asked: string[] = [];
    const { server, port } = await stage.http(({ method, url }, response) => {
      asked.push(`${method} ${url}`);
      if (asked.length > 1) response.end('ok');
    });
    const client = closing(new Client(`http://127.0.0.1:${port}`, { connect: connect(), pipelining: 4 }));
    const posted = rejection(client.request({ path: '/order', method: 'POST', body: 'one' }));
    const read = client.request({ path: '/', method: 'GET', blocking: false });
    await once(server, 'request');
    stage.ssh.cut('rst');
    expect(await posted).to.be.instanceOf(UndiciSocketError);
    expect(await (await read).body.text()).to.equal('ok');
    expect(asked).to.deep.equal(['POST /order', 'GET /']);
  });

  it('verifies against the host of the URL, whatever the host header says', async () => {
    const { port } = await serveHttps(stage, sayWhat);
    const dispatcher = closing(new Agent({ connect: connect() }));
    const asking = (host: string, header: string) =>
      request(`https://${host}:${port}/`, { dispatcher, headers: { host: header } });
    expect(await rejection(asking('evil.example', 'node-1.example'))).to.include({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
    const { body } = await asking('node-1.example', 'pod.example');
    expect(await body.text()).to.equal('GET /');
  });

  it('speaks HTTP/2 with who offers it, if allowed', async () => {
    const server = createSecureServer({ ...serverTls, allowHTTP1: true }, ({ httpVersion }, response) =>
      response.end(httpVersion),
    ).listen(0, '127.0.0.1');
    await once(server, 'listening');
    stage.onEnd(() => new Promise<void>((resolve) => server.close(() => resolve())));
    const { port } = server.address() as AddressInfo;
    for (const [allowH2, version] of [
      [true, '2.0'],
      [false, '1.1'],
    ] as const) {
      const dispatcher = new Agent({ connect: connect({ allowH2 }), allowH2 });
      const { body } = await request(`https://127.0.0.1:${port}/`, { dispatcher });
      expect(await body.text()).to.equal(version);
      await dispatcher.close();
    }
    await stage.ssh.until(({ channels }) => channels === 0);
  });

  it('fails requests over HTTP/2 whose tunnel is lost, and sends the next over another', async () => {
    let requests = 0;
    const server = createSecureServer(serverTls, (_request, response) => {
      if ((requests += 1) === 1) response.write('the first part');
      else response.end('ok');
    }).listen(0, '127.0.0.1');
    server.on('session', (session) => session.on('error', () => undefined));
    await once(server, 'listening');
    stage.onEnd(() => new Promise<void>((resolve) => server.close(() => resolve())));
    const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const client = closing(new Client(origin, { connect: connect({ allowH2: true }), allowH2: true }));
    const { body } = await client.request({ path: '/', method: 'GET' });
    const failed = rejection(body.text());
    stage.ssh.cut('rst');
    expect(await failed).to.be.instanceOf(Error);
    const again = await client.request({ path: '/', method: 'GET' });
    expect(await again.body.text()).to.equal('ok');
    expect(stage.ssh.totalConnections).to.equal(2);
  });

  it('has RetryAgent ask again for what a lost tunnel has cut short', async () => {
    let requests = 0;
    const { server, port } = await stage.http((_request, response) => {
      if ((requests += 1) > 1) response.end('ok');
    });
    const agent = new Agent({ connect: connect() });
    const dispatcher = closing(new RetryAgent(agent, { minTimeout: 1, maxTimeout: 1 }));
    const asked = request(`http://127.0.0.1:${port}/`, { dispatcher });
    await once(server, 'request');
    stage.ssh.cut('rst');
    expect(await (await asked).body.text()).to.equal('ok');
    expect(stage.ssh.totalConnections).to.equal(2);
  });

  it('sends what waits behind a request that a lost tunnel has cut short over another stream', async () => {
    let requests = 0;
    const { server, port } = await stage.http((_request, response) => {
      if ((requests += 1) > 1) response.end('ok');
    });
    const client = closing(new Client(`http://127.0.0.1:${port}`, { connect: connect() }));
    const cut = rejection(client.request({ path: '/', method: 'GET' }));
    const waiting = client.request({ path: '/', method: 'GET' });
    await once(server, 'request');
    stage.ssh.cut('rst');
    const error = await cut;
    expect(error).to.be.instanceOf(UndiciSocketError);
    expect(error.cause).to.be.instanceOf(TransportError);
    expect(await (await waiting).body.text()).to.equal('ok');
  });

  it('hands the stream over on an upgrade', async () => {
    const { server, port } = await serveHttps(stage, () => undefined);
    server.on('upgrade', (_request, socket) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
      socket.pipe(socket);
    });
    const dispatcher = closing(new Agent({ connect: connect() }));
    const { socket } = await upgrade(`https://127.0.0.1:${port}/`, { dispatcher, protocol: 'echo' });
    await roundTrip(socket);
    socket.destroy();
    await stage.ssh.until(({ channels }) => channels === 0);
  });

  it('carries the WebSocket of undici', async () => {
    const { server, port } = await serveHttps(stage, () => undefined);
    new WebSocketServer({ server }).on('connection', (socket) =>
      socket.on('message', (message: Buffer) => socket.send(message.toString())),
    );
    const dispatcher = closing(new Agent({ connect: connect() }));
    const socket = new WebSocket(`wss://127.0.0.1:${port}/`, { dispatcher });
    const answer = new Promise((resolve) => socket.addEventListener('message', ({ data }) => resolve(data)));
    socket.addEventListener('open', () => socket.send('hello'));
    expect(await answer).to.equal('hello');
    const closed = new Promise((resolve) => socket.addEventListener('close', resolve));
    socket.close();
    await closed;
    await stage.ssh.until(({ channels }) => channels === 0);
  });

  it("has Node's own fetch go through the tunnel when it is in the global dispatcher", async () => {
    const { port } = await serveHttps(stage, sayWhat);
    const before = getGlobalDispatcher();
    setGlobalDispatcher(closing(new Agent({ connect: connect() })));
    try {
      expect(await (await fetch(`https://127.0.0.1:${port}/x`)).text()).to.equal('GET /x');
    } finally {
      setGlobalDispatcher(before);
    }
    expect(stage.recorder.sockets).to.have.length(1);
  });

  it('resumes TLS sessions, but for maxCachedSessions: 0', async () => {
    const { server, port } = await serveHttps(stage, (_request, response) =>
      response.setHeader('connection', 'close').end('ok'),
    );
    const resumed: boolean[] = [];
    server.on('secureConnection', (socket: TLSSocket) => resumed.push(socket.isSessionReused()));
    for (const maxCachedSessions of [undefined, 0]) {
      const dispatcher = closing(new Agent({ connect: connect({ maxCachedSessions }) }));
      for (let count = 0; count < 2; count += 1) {
        const { body } = await request(`https://127.0.0.1:${port}/`, { dispatcher });
        await body.text();
        await stage.ssh.until(({ channels }) => channels === 0);
      }
    }
    expect(resumed).to.deep.equal([false, true, false, false]);
  });

  it('resumes no session after a connection that could not be made', async () => {
    const { server, port } = await serveHttps(stage, (_request, response) =>
      response.setHeader('connection', 'close').end('ok'),
    );
    const resumed: boolean[] = [];
    server.on('secureConnection', (socket: TLSSocket) => resumed.push(socket.isSessionReused()));
    const dispatcher = closing(new Agent({ connect: connect() }));
    const ask = async (): Promise<void> => {
      await (await request(`https://127.0.0.1:${port}/`, { dispatcher })).body.text();
      await stage.ssh.until(({ channels }) => channels === 0);
    };
    await ask();
    stage.ssh.faults.refuse({ reason: 2, description: 'Connection refused' });
    expect(await rejection(ask())).to.include({ code: 'ECONNREFUSED' });
    stage.ssh.faults.reset();
    await ask();
    expect(resumed).to.deep.equal([false, false]);
  });

  it('asks its TLS source for every connection, and resumes no session from before a change', async () => {
    const { server, port } = await serveHttps(stage, (_request, response) =>
      response.setHeader('connection', 'close').end('ok'),
    );
    const resumed: boolean[] = [];
    server.on('secureConnection', (socket: TLSSocket) => resumed.push(socket.isSessionReused()));
    let current: TlsCredentials = { ca };
    const tls = { current: () => current };
    const dispatcher = closing(new Agent({ connect: undiciConnector(stage.recorder, { tls }) }));
    const ask = async (): Promise<void> => {
      await (await request(`https://127.0.0.1:${port}/`, { dispatcher })).body.text();
      await stage.ssh.until(({ channels }) => channels === 0);
    };
    await ask();
    await ask();
    current = { ca };
    await ask();
    expect(resumed).to.deep.equal([false, true, false]);
    current = undefined as unknown as TlsCredentials;
    expect(await rejection(ask())).to.include({ code: 'ERR_TUNNEL_INVALID_OPTION' });
    await stage.ssh.until(({ channels }) => channels === 0);
  });

  it('calls back when the connect function has returned, never before', async () => {
    const failing = undiciConnector(stage.recorder, {
      tls: { current: () => ({ ca }) },
      signal: AbortSignal.abort(),
    });
    for (const protocol of ['http:', 'https:']) {
      let returned = false;
      const result = new Promise<boolean>((resolve) => {
        failing({ hostname: '127.0.0.1', port: '1', protocol }, () => resolve(returned));
      });
      returned = true;
      expect(await result).to.equal(true);
    }
  });

  it('listens to its signal only while it dials', async () => {
    const { port } = await serveHttps(stage, sayWhat);
    const abort = new AbortController();
    let listening = 0;
    const { signal } = abort;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listening += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listening -= 1;
      remove(...args);
    };
    const dispatcher = closing(new Agent({ connect: connect({ signal }) }));
    await Promise.all(
      Array.from({ length: 5 }, async () =>
        (await request(`https://127.0.0.1:${port}/`, { dispatcher })).body.text(),
      ),
    );
    expect(listening).to.equal(0);
    abort.abort(new Error('the streams that are up live on'));
    const { body } = await request(`https://127.0.0.1:${port}/`, { dispatcher });
    expect(await body.text()).to.equal('GET /');
  });
});
