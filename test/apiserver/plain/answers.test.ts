import { expect } from 'chai';
import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import { httpAgent } from '../../../lib/http/index.js';
import { mirror, prefixOf, ProxyStage, type Front } from './stage.js';
import { closedPort } from '../../http/stage.js';
import { read } from '../../support/dialer.js';

const plain =
  (text: string): RequestListener =>
  (_request, response) =>
    void response.end(text);

describe('apiserver: the answer to a plain request', () => {
  let stage: ProxyStage;
  beforeEach(async () => (stage = await ProxyStage.start()));
  afterEach(() => stage.end());

  it('AC-8: logs/ of a kubelet comes, with its port in the name and without, 20 times', async () => {
    await stage.https('node-1', (request, response) => {
      response
        .setHeader('Content-Type', 'text/html')
        .end(`<pre>\n<a href="pods/">${request.url ?? ''}</a>\n</pre>`);
    });
    const kubelet = stage.backends.get('node-1');
    if (kubelet !== undefined) stage.backends.set('node-1:10250', kubelet);
    for (const name of ['node-1:10250', 'node-1'])
      for (let attempt = 1; attempt <= 20; attempt += 1) {
        const { status, body } = await stage.fetch(`/api/v1/nodes/${name}/proxy/logs/`);
        expect([status, body]).to.deep.equal([200, '<pre>\n<a href="pods/">/logs/</a>\n</pre>']);
      }
  });

  it('AC-9: 6 backends over HTTP and TLS, 20 rounds in parallel, all answer 200', async () => {
    await stage.http('a:160', plain('foo'));
    await stage.http('a:162', plain('bar'));
    await stage.https('https:a:460', plain('tls baz'));
    await stage.https('https:a:462', plain('tls qux'));
    const names: Record<string, string> = {
      'a:160': 'foo',
      'a:162': 'bar',
      'https:a:460': 'tls baz',
      'https:a:462': 'tls qux',
    };
    const rounds = Array.from({ length: 20 }, async (_, round) => {
      for (const [name, expected] of Object.entries(names)) {
        const { status, body } = await stage.fetch(`${prefixOf(name)}/?round=${round}`);
        expect([status, body]).to.deep.equal([200, expected]);
      }
    });
    await Promise.all(rounds);
  });

  it('AC-14: headers reach the client, in their order, case and number, but for those of CORS and of the connection', async () => {
    await stage.http('p', (_request, response) => {
      response.writeHead(200, [
        ...['Access-Control-Allow-Origin', '*', 'access-control-allow-methods', 'POST'],
        ...['Access-Control-Allow-Credentials', 'true', 'Access-Control-Allow-Headers', 'X'],
        ...['Header1', 'value1', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'hEADER1', 'value2'],
        ...['Access-Control-Max-Age', '5', 'Proxy-Authenticate', 'Basic', 'Keep-Alive', 'timeout=999'],
        ...['Upgrade', 'h2c', 'X-Listed', 'x', 'Connection', 'keep-alive, x-listed', 'Content-Length', '2'],
        ...['Date', 'Thu, 01 Jan 1970 00:00:00 GMT'],
      ]);
      response.end('ok');
    });
    const { rawHeaders, body } = await stage.fetch(`${prefixOf('p')}/`);
    expect(rawHeaders.slice(0, 12)).to.deep.equal([
      ...['Header1', 'value1', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'hEADER1', 'value2'],
      ...['Access-Control-Max-Age', '5', 'Content-Length', '2'],
    ]);
    expect(rawHeaders.join(' ')).to.not.match(/access-control-allow|listed|999|h2c|Basic/i);
    expect(body).to.equal('ok');
  });

  it('without rewrites keeps what it has of CORS, and its Location', async () => {
    stage.relayOptions = { rewrites: false };
    await stage.http('p', (_request, response) => {
      response.writeHead(301, { 'Access-Control-Allow-Origin': '*', Location: '/x' }).end();
    });
    const { headers } = await stage.fetch(`${prefixOf('p')}/`);
    expect(headers).to.include({ 'access-control-allow-origin': '*', location: '/x' });
  });

  it('AC-16: begins when the backend begins, though it never ends', async () => {
    await stage.http('p', (_request, response) => {
      response.writeHead(200, { 'X-Early': 'yes' }).flushHeaders();
    });
    const response = await stage.begin(`${prefixOf('p')}/`);
    expect(response.headers).to.include({ 'x-early': 'yes' });
    response.destroy();
  });

  it('AC-16: comes piece by piece, each at once', async () => {
    let next: (text: string) => void = () => undefined;
    await stage.http('p', (_request, response) => {
      next = (text) => void response.write(text);
      next('one');
    });
    const response = await stage.begin(`${prefixOf('p')}/`);
    expect(String(await read(response, 3))).to.equal('one');
    next('two');
    expect(String(await read(response, 3))).to.equal('two');
    response.destroy();
  });

  it('AC-17: a backend that does not answer is a Status 503 that says why', async () => {
    const port = await closedPort();
    stage.backends.set('p', stage.backend('http', port));
    const { status, body, headers } = await stage.fetch(`${prefixOf('p')}/`);
    expect(status).to.equal(503);
    expect(headers['content-type']).to.equal('application/json');
    const answered = JSON.parse(body) as { message: string };
    expect(answered).to.include({
      kind: 'Status',
      status: 'Failure',
      reason: 'ServiceUnavailable',
      code: 503,
    });
    expect(answered.message)
      .to.match(/^error trying to reach service: /)
      .and.contain(`127.0.0.1:${port}`);
  });

  it('AC-17: an error of the dial is in the message, in printable form', async () => {
    const failing = {
      dial: () => Promise.reject(new Error('nasty\u001b[31m error')),
      close: () => Promise.resolve(),
      destroy: () => undefined,
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const agent = httpAgent(failing);
    stage.onEnd(() => agent.destroy());
    stage.backends.set('p', { ...stage.backend('http', 1), agent });
    const { status, body } = await stage.fetch(`${prefixOf('p')}/`);
    expect(status).to.equal(503);
    expect((JSON.parse(body) as { message: string }).message).to.equal(
      'error trying to reach service: nasty [31m error',
    );
  });

  /** An informational answer of this size. */
  const hint = (bytes: number): string => `HTTP/1.1 103 X\r\nX-Hint: ${'x'.repeat(bytes)}\r\n\r\n`;

  it('comes after 240 kB of informational ones', async () => {
    await stage.raw('p', (socket) => {
      const answer = `${hint(30_000).repeat(8)}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok`;
      socket.once('data', () => socket.write(answer));
    });
    expect(await stage.fetch(`${prefixOf('p')}/`)).to.include({ status: 200, body: 'ok' });
  });

  const rubbish: Record<string, string> = {
    'no HTTP at all': 'SSH-2.0-OpenSSH\r\n',
    'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    'a length and chunks':
      'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'an upgrade that nobody asked for': 'HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
    'a status that is none': 'HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n',
    'endless informational answers': 'HTTP/1.1 103 X\r\nLink: </x>\r\n\r\n'.repeat(200),
    'more than 256 KiB of informational answers': `${hint(30_000).repeat(9)}HTTP/1.1 200 OK\r\n\r\n`,
    'more than 1 MiB of headers': `HTTP/1.1 200 OK\r\n${`X: ${'x'.repeat(1000)}\r\n`.repeat(1100)}`,
    nothing: '',
  };
  for (const [what, bytes] of Object.entries(rubbish))
    it(`AC-17: a backend that answers with ${what} is a Status 503`, async () => {
      await stage.raw('p', (socket) => {
        socket.once('data', () => (bytes === '' ? socket.end() : socket.write(bytes)));
      });
      const { status, body } = await stage.fetch(`${prefixOf('p')}/`);
      expect(status).to.equal(503);
      expect((JSON.parse(body) as { message: string }).message).to.match(/^error trying to reach service: ./);
    });

  it('AC-17: a backend that sends headers without end is cut off at 1 MiB', async () => {
    let sent = 0;
    await stage.raw('p', (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const more = (): void => {
        while (!socket.destroyed && socket.write(`X-${sent}: ${'x'.repeat(1000)}\r\n`)) sent += 1;
      };
      socket.on('drain', more).resume();
      more();
    });
    const { status } = await stage.fetch(`${prefixOf('p')}/`);
    expect(status).to.equal(503);
  });

  it('has as many headers as the backend sends', async () => {
    await stage.http('p', (_request, response) => {
      response
        .writeHead(200, Array.from({ length: 9000 }, (_, n) => [`X-${n}`, 'v'.repeat(90)]).flat())
        .end();
    });
    const request = await stage.request(`${prefixOf('p')}/`);
    request.maxHeadersCount = 0;
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    request.end();
    const [response] = await answered;
    response.resume();
    expect(response.rawHeaders).to.have.length.greaterThan(18_000);
  });

  for (const front of ['http', 'https'] satisfies Front[])
    it(`has no body where there is none, over ${front}, and the connection is used on`, async () => {
      await stage.http('p', (request, response) => {
        const status = Number(request.url?.slice(1));
        response.writeHead(status, status === 204 ? {} : { 'Content-Length': 5, ETag: '"x"' });
        response.end(status === 200 ? 'hello' : undefined);
      });
      const head = await stage.fetch(`${prefixOf('p')}/200`, { front, method: 'HEAD' });
      expect(head).to.include({ status: 200, body: '' });
      expect(head.headers).to.include({ 'content-length': '5' });
      expect(await stage.fetch(`${prefixOf('p')}/304`, { front })).to.include({ status: 304, body: '' });
      const none = await stage.fetch(`${prefixOf('p')}/204`, { front });
      expect(none).to.include({ status: 204, body: '' });
      expect(none.headers).to.not.have.any.keys('content-length', 'transfer-encoding');
      expect(await stage.fetch(`${prefixOf('p')}/200`, { front })).to.include({ body: 'hello' });
    });

  it('has the trailers of the backend, and their announcement', async () => {
    await stage.http('p', (_request, response) => {
      response.writeHead(200, { Trailer: 'X-Sum, X-More' }).write('abc');
      response.addTrailers({ 'X-Sum': '3', 'X-More': 'm' });
      response.end();
    });
    const answer = await stage.fetch(`${prefixOf('p')}/`);
    expect(answer.headers).to.include({ trailer: 'x-sum, x-more' });
    expect(answer.rawTrailers).to.deep.equal(['X-Sum', '3', 'X-More', 'm']);
    await stage.raw('q', (socket) => {
      const head = ['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked', 'Trailer: X-Sum', '', ''];
      socket.once('data', () => socket.write(head.join('\r\n')));
    });
    expect(await stage.fetch(`${prefixOf('q')}/`, { method: 'HEAD' })).to.include({ status: 200 });
  });

  it('comes after the informational ones, 102 and 103', async () => {
    await stage.http('p', (_request, response) => {
      response.writeProcessing();
      response.writeEarlyHints({ link: '</a.css>; rel=preload', 'x-hint': 'h' }, () => response.end('ok'));
    });
    const request = await stage.request(`${prefixOf('p')}/`);
    const told: unknown[] = [];
    request.on('information', ({ statusCode, headers }: IncomingMessage) =>
      told.push([statusCode, { ...headers }]),
    );
    const answered = once(request, 'response') as Promise<[IncomingMessage]>;
    request.end();
    (await answered)[0].resume();
    expect(told).to.deep.equal([
      [102, {}],
      [103, { link: '</a.css>; rel=preload', 'x-hint': 'h' }],
    ]);
  });

  it('keeps the words of its status', async () => {
    await stage.http('p', (_request, response) => response.writeHead(299, 'Quite All Right').end());
    const { statusCode, statusMessage } = (await stage.begin(`${prefixOf('p')}/`)).resume();
    expect([statusCode, statusMessage]).to.deep.equal([299, 'Quite All Right']);
  });

  it('to a client of HTTP/1.0 is not chunked, and the connection ends with it', async () => {
    await stage.http('p', (_request, response) => {
      response.write('one');
      response.end('two');
    });
    const answer = await stage.exchange(`GET ${prefixOf('p')}/ HTTP/1.0\r\n\r\n`);
    expect(answer)
      .to.match(/\r\n\r\nonetwo$/)
      .and.not.match(/transfer-encoding/i);
  });

  it('AC-18: a Location leads through the proxy if it is of the backend, and is not followed', async () => {
    let location = '';
    let asked = 0;
    await stage.http('p', (_request, response) => {
      asked += 1;
      response
        .writeHead(301, { Location: location, 'Content-Type': 'text/html' })
        .end('<a href="/x">moved</a>');
    });
    const authority = stage.backends.get('p')?.authority ?? '';
    const prefix = prefixOf('p');
    for (const [given, expected] of [
      ['/redirected/target/', `${prefix}/redirected/target/`],
      [`http://${authority}/redirected/target/`, `${prefix}/redirected/target/`],
      [`https://${authority}/redirected/target?a=b#c`, `${prefix}/redirected/target?a=b#c`],
      [`//${authority}/x`, `${prefix}/x`],
      ['http://example.com/redirected/target/', 'http://example.com/redirected/target/'],
      ['redirected/target/', 'redirected/target/'],
      [`${prefix}/redirected/`, `${prefix}/redirected/`],
      ['?page=2', '?page=2'],
    ]) {
      location = given ?? '';
      const { status, headers, body } = await stage.fetch(`${prefix}/`);
      expect([status, headers.location]).to.deep.equal([301, expected]);
      expect(body, 'behind a Location the page stays as it is').to.equal('<a href="/x">moved</a>');
    }
    expect(asked).to.equal(8);
  });

  it('AC-19: behind kubectl proxy, a Location to it keeps its host', async () => {
    await stage.http('p', (_request, response) => {
      response.writeHead(302, { Location: 'http://10.0.0.1:8001/redirected/target/' }).end();
    });
    const { headers } = await stage.fetch(`${prefixOf('p')}/`, { headers: { Host: '10.0.0.1:8001' } });
    expect(headers.location).to.equal(`http://10.0.0.1:8001${prefixOf('p')}/redirected/target/`);
  });

  it('AC-18: with a Location that is no URL is a Status 500', async () => {
    for (const location of ['/%zz', ':x', 'http://a b/']) {
      await stage.http('p', (_request, response) => response.writeHead(302, { Location: location }).end());
      const { status, body } = await stage.fetch(`${prefixOf('p')}/`);
      expect(status, location).to.equal(500);
      expect(JSON.parse(body)).to.include({ kind: 'Status', reason: 'InternalError' });
    }
  });

  it('comes by kept connections, and one that died meanwhile is replaced', async () => {
    const server = await stage.http('p', mirror);
    let connections = 0;
    server.on('connection', () => (connections += 1));
    for (let round = 0; round < 3; round += 1) await stage.fetch(`${prefixOf('p')}/`);
    expect(connections).to.equal(1);
    let isFirst = true;
    server.prependListener('request', ({ socket }: IncomingMessage) => {
      if (isFirst) socket.destroy();
      isFirst = false;
    });
    expect(await stage.fetch(`${prefixOf('p')}/`)).to.include({ status: 200 });
    expect(connections).to.equal(2);
  });

  it('is no second try of what may not be repeated', async () => {
    const server = await stage.http('p', mirror);
    await stage.fetch(`${prefixOf('p')}/`);
    let asked = 0;
    server.prependListener('request', ({ socket }: IncomingMessage) => {
      asked += 1;
      socket.destroy();
    });
    const told = await stage.fetch(`${prefixOf('p')}/`, { method: 'POST', body: 'x' });
    expect([told.status, asked]).to.deep.equal([503, 1]);
  });

  it('is no second try of what has a body, which is gone', async () => {
    const server = await stage.http('p', mirror);
    await stage.fetch(`${prefixOf('p')}/`);
    let asked = 0;
    server.prependListener('request', ({ socket }: IncomingMessage) => {
      asked += 1;
      socket.destroy();
    });
    const headers = ['Host', 'h', 'Content-Length', '1'];
    const told = await stage.fetch(`${prefixOf('p')}/`, { headers, body: 'x' });
    expect([told.status, asked]).to.deep.equal([503, 1]);
  });
});
