import { expect } from 'chai';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { Readable, type Duplex } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { EndpointError, TransportError } from '../../lib/index.js';
import { httpAgent } from '../../lib/http/index.js';
import { rejection, uncaughtDuring, until } from '../support/dialer.js';
import { begin, closedPort, fetchText, Stage } from './stage.js';

const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');

describe('http: httpAgent', () => {
  let stage: Stage;
  beforeEach(async () => (stage = await Stage.start()));
  afterEach(() => stage.end());

  it('carries a request to an endpoint behind a node and the response back', async () => {
    const { port } = await stage.http((request, response) =>
      response.end(`${request.method} ${request.url}`),
    );
    const agent = stage.using(httpAgent(stage.recorder));
    const { status, body } = await fetchText({ agent, port, path: '/a%2Fb?c=d', method: 'DELETE' });
    expect({ status, body }).to.deep.equal({ status: 200, body: 'DELETE /a%2Fb?c=d' });
  });

  it('takes URLs, with an IPv6 address in brackets too', async () => {
    const { server } = await stage.http((request, response) => response.end(request.headers.host));
    await new Promise<void>((resolve) => server.close(() => resolve()));
    server.listen(0, '::1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const agent = stage.using(httpAgent(stage.recorder));
    const [response] = (await once(http.get(`http://[::1]:${port}/`, { agent }), 'response')) as [
      http.IncomingMessage,
    ];
    expect(await text(response)).to.equal(`[::1]:${port}`);
  });

  it('sends 100 requests one after the other through one channel', async () => {
    const { port } = await stage.http((_request, response) => response.end('ok'));
    const agent = stage.using(httpAgent(stage.recorder));
    for (let count = 0; count < 100; count += 1) {
      const { request } = await fetchText({ agent, port });
      expect(request.reusedSocket).to.equal(count > 0);
    }
    expect(stage.ssh.totalChannels).to.equal(1);
  });

  it('makes a channel for each request without keep-alive, and leaves none', async () => {
    const { port } = await stage.http((_request, response) => response.end('ok'));
    const agent = stage.using(httpAgent(stage.recorder, { keepAlive: false }));
    for (let count = 0; count < 3; count += 1) await fetchText({ agent, port });
    await stage.ssh.until(({ channels }) => channels === 0);
    expect(stage.ssh.totalChannels).to.equal(3);
  });

  it('dials again after the endpoint has closed the idle socket', async () => {
    const { server, port } = await stage.http((_request, response) => response.end('ok'));
    const agent = stage.using(httpAgent(stage.recorder));
    await fetchText({ agent, port });
    server.closeIdleConnections();
    await stage.ssh.until(({ channels }) => channels === 0);
    const { body, request } = await fetchText({ agent, port });
    expect(body).to.equal('ok');
    expect(request.reusedSocket).to.equal(false);
  });

  it('closes a socket when the endpoint wants it closed', async () => {
    const { port } = await stage.http((_request, response) =>
      response.setHeader('connection', 'close').end('ok'),
    );
    const agent = stage.using(httpAgent(stage.recorder));
    await fetchText({ agent, port });
    await stage.ssh.until(({ channels }) => channels === 0);
    expect((await fetchText({ agent, port })).body).to.equal('ok');
  });

  it('runs as many requests at once as maxSockets allows, also while their dials are under way', async () => {
    let now = 0;
    let most = 0;
    const { port } = await stage.http((_request, response) => {
      most = Math.max(most, (now += 1));
      setImmediate(() => {
        now -= 1;
        response.end('ok');
      });
    });
    const agent = stage.using(httpAgent(stage.recorder, { maxSockets: 3 }));
    const answers = await Promise.all(Array.from({ length: 20 }, () => fetchText({ agent, port })));
    expect(answers.map(({ body }) => body)).to.deep.equal(Array(20).fill('ok'));
    expect(stage.ssh.totalChannels).to.equal(3);
    expect(most).to.be.within(1, 3);
  });

  it('lets those who wait for a socket go on when a dial fails', async () => {
    const port = await closedPort();
    const agent = stage.using(httpAgent(stage.recorder, { maxSockets: 1 }));
    const outcomes = await Promise.all(
      Array.from({ length: 5 }, () => rejection<EndpointError>(begin({ agent, port }))),
    );
    expect(outcomes.map(({ code }) => code)).to.deep.equal(Array(5).fill('ECONNREFUSED'));
  });

  it('gives the error of a dial to the request as it is', async () => {
    const port = await closedPort();
    const agent = stage.using(httpAgent(stage.recorder));
    const error = await rejection(begin({ agent, port }));
    expect(error).to.be.instanceOf(EndpointError);
    expect(error).to.include({ code: 'ECONNREFUSED', node: 'node-1', host: '127.0.0.1', port });
  });

  it('tells the request when the host or the port cannot be dialled', async () => {
    const agent = stage.using(httpAgent(stage.recorder));
    expect(await rejection(begin({ agent, host: 'a b', port: 80 }))).to.include({ option: 'host' });
    expect(await rejection(begin({ agent, port: 'http' }))).to.include({ option: 'port' });
  });

  it('refuses a request to a UNIX socket, which would go to localhost', () => {
    const agent = stage.using(httpAgent(stage.recorder));
    expect(() => http.get({ agent, socketPath: '/run/kubelet.sock' })).to.throw('socketPath');
    expect(stage.recorder.options).to.be.empty;
  });

  it('keeps the sockets of different nodes apart', async () => {
    const { port } = await stage.http((_request, response) => response.end('ok'));
    const agent = stage.using(httpAgent(stage.recorder, { node: 'node-1' }));
    expect((await fetchText({ agent, port, host: 'localhost' })).body).to.equal('ok');
    expect(stage.recorder.options[0]).to.include({ node: 'node-1' });
    const [name] = Object.keys(agent.freeSockets);
    expect(name).to.equal(`localhost:${port}::node-1`);
    const other = stage.using(httpAgent(stage.recorder, { node: 'node-2' }));
    expect(await rejection(begin({ agent: other, port }))).to.include({ code: 'ERR_TUNNEL_NO_ROUTE' });
  });

  it('carries 10 MB both ways', async () => {
    const { port } = await stage.http((request, response) => {
      void buffer(request).then((body) => {
        response.setHeader('x-received', sha256(body));
        response.end(body.reverse());
      });
    });
    const sent = randomBytes(10_000_000);
    const agent = stage.using(httpAgent(stage.recorder));
    const response = await begin({ agent, port, method: 'POST' }, sent);
    const received = await buffer(response);
    expect(response.headers['x-received']).to.equal(sha256(sent));
    expect(sha256(received)).to.equal(sha256(Buffer.from(sent).reverse()));
  });

  it('streams a body both ways at once', async () => {
    const { port } = await stage.http((request, response) => void pipeline(request, response));
    const sent = randomBytes(3_000_000);
    const pieces = Array.from({ length: 400 }, (_, index) => sent.subarray(index * 7500, (index + 1) * 7500));
    const agent = stage.using(httpAgent(stage.recorder));
    const request = http.request({ agent, host: '127.0.0.1', port, method: 'POST' });
    const [response] = await Promise.all([
      once(request, 'response') as Promise<[http.IncomingMessage]>,
      pipeline(Readable.from(pieces), request),
    ]).then(([[message]]) => [message] as const);
    expect(sha256(await buffer(response))).to.equal(sha256(sent));
  });

  it('passes trailers on', async () => {
    const { port } = await stage.http((_request, response) => {
      response.writeHead(200, { trailer: 'x-digest' });
      response.write('body');
      response.addTrailers({ 'x-digest': 'abc' });
      response.end();
    });
    const agent = stage.using(httpAgent(stage.recorder));
    const { response } = await fetchText({ agent, port });
    expect(response.trailers).to.deep.equal({ 'x-digest': 'abc' });
  });

  it('hands the stream over on an upgrade, with what came along with the answer', async () => {
    const { server, port } = await stage.http(() => undefined);
    server.on('upgrade', (_request, socket, head) => {
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ');
      socket.write(head);
      socket.pipe(socket);
    });
    const agent = stage.using(httpAgent(stage.recorder));
    const request = http.get({
      agent,
      host: '127.0.0.1',
      port,
      headers: { connection: 'upgrade', upgrade: 'echo' },
    });
    const [, socket, head] = (await once(request, 'upgrade')) as [unknown, NodeJS.ReadWriteStream, Buffer];
    socket.end('there');
    expect(head.toString() + (await text(socket))).to.equal('hello there');
    await stage.ssh.until(({ channels }) => channels === 0);
    expect(agent.sockets).to.be.empty;
  });

  it('leaves the errors of an upgraded stream to its owner', async () => {
    const { server, port } = await stage.http(() => undefined);
    server.on('upgrade', (_request, socket) => {
      socket.resume().once('end', () => socket.end());
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    });
    const agent = stage.using(httpAgent(stage.recorder));
    const headers = { connection: 'upgrade', upgrade: 'echo' };
    const request = http.get({ agent, host: '127.0.0.1', port, headers });
    const [, socket] = (await once(request, 'upgrade')) as [unknown, Duplex];
    const uncaught = await uncaughtDuring(async () => {
      stage.ssh.cut('fin');
      await until('the end of the stream', () => socket.errored !== null);
    });
    expect(uncaught).to.have.length(1);
    expect(uncaught[0]).to.be.instanceOf(TransportError);
  });

  it('keeps an endpoint waiting while nobody reads the response', async () => {
    const total = 64 * 1024 * 1024;
    let written = 0;
    const { port } = await stage.http((_request, response) => {
      response.setHeader('content-length', total);
      const chunk = Buffer.alloc(64 * 1024);
      const fill = (): void => {
        while (written < total) {
          written += chunk.length;
          if (!response.write(chunk)) return;
        }
        response.end();
      };
      response.on('drain', fill);
      fill();
    });
    const agent = stage.using(httpAgent(stage.recorder));
    const response = await begin({ agent, port });
    // 100 more requests on other channels: time enough for 64 MiB, were they not held back.
    const { port: other } = await stage.http((_request, answer) => answer.end('x'.repeat(100_000)));
    for (let count = 0; count < 100; count += 1) await fetchText({ agent, port: other });
    expect(written).to.be.below(total / 2);
    let received = 0;
    for await (const chunk of response) received += (chunk as Buffer).length;
    expect(received).to.equal(total);
  });
});
