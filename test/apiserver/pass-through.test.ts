import { expect } from 'chai';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { connect as connectHttp2, createServer as createServer2, type Http2Server } from 'node:http2';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { request as requestHttp, type RequestOptions } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Caller } from '../../lib/apiserver/access.js';
import type { Exchange } from '../../lib/apiserver/exchange.js';
import { passThrough, passThroughUpgrade } from '../../lib/apiserver/pass-through.js';
import { sendStatus } from '../../lib/apiserver/send-status.js';
import type { StatusError } from '../../lib/apiserver/status-error.js';
import { sendStatusOnSocket } from '../../lib/apiserver/upgrade/send-status.js';
import type { UpstreamClient } from '../../lib/apiserver/upstream/upstream-client.js';
import { answerJson, callerWith, OtherUpstream, shownBy } from './upstream/other-upstream.js';

const impersonated: Caller = {
  key: 'alice',
  userName: 'alice',
  isImpersonated: true,
  upstreamHeaders: () =>
    Promise.resolve({ 'impersonate-user': 'alice', 'impersonate-group': ['devs', 'ops'] }),
};

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly shown?: string;
  readonly body: string;
}

describe('apiserver: what is passed through to the upstream', () => {
  let upstream: OtherUpstream;
  let client: UpstreamClient;
  let front: Server;
  let newer: Http2Server;
  let caller: Caller;
  const sockets = new Set<Socket>();

  beforeEach(async () => {
    upstream = await OtherUpstream.start((request, response) => {
      const { method, url, headers } = request;
      void request.toArray().then((parts) => {
        const body = Buffer.concat(parts as Buffer[]).toString();
        answerJson(response, { method, url, headers, shown: shownBy(request), body });
      });
    });
    const own = upstream.authority.issue({ commonName: 'proxy', purpose: 'client' });
    client = upstream.client({ clientCertificate: own.certificate, clientKey: own.privateKey });
    caller = callerWith('theirs');
    const pass = (exchange: Exchange): void => {
      passThrough({ exchange, caller, upstream: client }).catch((error: unknown) =>
        sendStatus(exchange, error as StatusError),
      );
    };
    front = createServer((request, response) => pass({ request, response }));
    newer = createServer2((request, response) => pass({ request, response }));
    front.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      passThroughUpgrade({ upgrade: { request, socket, head }, caller, upstream: client }).catch(
        (error: unknown) => sendStatusOnSocket(socket, error as StatusError),
      );
    });
    for (const server of [front, newer]) {
      server.on('connection', (socket: Socket) => {
        sockets.add(socket);
        socket.once('close', () => sockets.delete(socket));
      });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
  });

  afterEach(async () => {
    const closed = [front, newer].map((server) => once(server.close(), 'close'));
    for (const socket of sockets) socket.destroy();
    await Promise.all(closed);
    await upstream.close();
  });

  const portOf = (server: Server | Http2Server): number => (server.address() as AddressInfo).port;

  async function answerTo(path: string, options: RequestOptions = {}, body = ''): Promise<IncomingMessage> {
    const request = requestHttp({ port: portOf(front), host: '127.0.0.1', agent: false, path, ...options });
    request.end(body);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return response;
  }

  async function seen(path: string, options: RequestOptions = {}, body = ''): Promise<Seen> {
    const response = await answerTo(path, options, body);
    return JSON.parse(Buffer.concat((await response.toArray()) as Buffer[]).toString()) as Seen;
  }

  it('keeps its path byte for byte', async () => {
    for (const path of ['/api//v1/../x/./%2e%2e/%2F?a=%20&b=/../c', '/a;b=c/~!$&\'()*+,=:@|"<>?{}', '/'])
      expect((await seen(path)).url).to.equal(path);
    expect((await seen('http://127.0.0.1/api/v1?x')).url).to.equal('/api/v1?x');
  });

  describe('to an upstream that has a path of its own', () => {
    beforeEach(() => {
      client = upstream.client({ server: `${upstream.url}/clusters/one` });
    });

    it('goes there, with what is no segment of dots byte for byte', async () => {
      const paths = ['/api//v1/%2F...?a=/../b', '/.../x/..y/%2e%2e%2e/.z', '/a.b/c..d', '/%252e%252e/x', '/'];
      for (const path of paths) expect((await seen(path)).url).to.equal(`/clusters/one${path}`);
    });

    const dotted = [
      ...[
        '/..',
        '/../two',
        '/api/../../two',
        '/./api',
        '/%2e%2e/two',
        '/%2E%2E/two',
        '/.%2e/two',
        '/api/%2e',
      ],
      ...['/x%2f..%2f..%2ftwo', '/x%2F%2e%2e', '/..\\two', '/x%5c..%5ctwo', 'http://127.0.0.1/../two'],
    ];
    for (const path of dotted) {
      it(`does not leave it by ${path}, plain or as an upgrade`, async () => {
        let asked = 0;
        const count = (): void => void (asked += 1);
        upstream.server.on('request', count).on('upgrade', count);
        expect(await seen(path)).to.include({ code: 400, reason: 'BadRequest' });
        const socket = connect(portOf(front), '127.0.0.1');
        socket.write(`GET ${path} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
        const text = Buffer.concat((await socket.toArray()) as Buffer[]).toString();
        expect(text).to.match(/^HTTP\/1\.1 400 /);
        expect(asked).to.equal(0);
      });
    }
  });

  it('keeps method, body and headers, and has the credentials of the caller alone', async () => {
    const headers = {
      authorization: 'Bearer from-the-request',
      'x-remote-user': 'admin',
      x_remote_group: 'system:masters',
      'impersonate-user': 'admin',
      accept: 'application/json;as=Table',
      'x-custom': 'kept',
      'x-forwarded-for': '10.1.1.1',
    };
    const got = await seen('/api/v1/pods', { method: 'PATCH', headers }, 'a body');
    expect(got).to.deep.include({ method: 'PATCH', body: 'a body' });
    expect(got.headers).to.include({
      authorization: 'Bearer theirs',
      accept: 'application/json;as=Table',
      'x-custom': 'kept',
      'x-forwarded-for': '10.1.1.1, 127.0.0.1',
      host: client.authority,
    });
    expect(Object.keys(got.headers).filter((name) => /remote|impersonate/.test(name))).to.deep.equal([]);
    expect(got).not.to.have.property('shown');
  });

  it('goes in the name of the proxy only for whom it impersonates', async () => {
    caller = impersonated;
    const headers = {
      authorization: 'Bearer x',
      'impersonate-group': 'system:masters',
      'impersonate-extra-a': 'b',
    };
    const got = await seen('/api', { headers });
    expect(got.headers).to.include({ 'impersonate-user': 'alice', 'impersonate-group': 'devs, ops' });
    expect(got.headers).not.to.have.any.keys('authorization', 'impersonate-extra-a');
    expect(got.shown).to.equal('proxy');
  });

  it('is told at once what a watch tells, and ends the watch with the client', async () => {
    let gone: Promise<unknown> = Promise.resolve();
    upstream.answer = (_request, response) => {
      gone = once(response, 'close');
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      response.write('{"type":"ADDED"}\n');
    };
    const response = await answerTo('/api/v1/nodes?watch=true');
    const [event] = (await once(response, 'data')) as [Buffer];
    expect(String(event)).to.equal('{"type":"ADDED"}\n');
    response.on('error', () => undefined).destroy();
    await gone;
  });

  it('never looks complete when the upstream breaks off', async () => {
    upstream.answer = (_request, response) => {
      response.writeHead(200);
      response.write('half', () => response.destroy());
    };
    const response = await answerTo('/api');
    const error: unknown = await response.toArray().catch((reason: unknown) => reason);
    expect(error).to.include({ code: 'ECONNRESET' });
  });

  it('reuses connections', async () => {
    await seen('/a');
    await seen('/b');
    expect(upstream.connections).to.equal(1);
  });

  it('gets a Status when the upstream is not there, or the request is malformed', async () => {
    expect(await seen('*', { method: 'OPTIONS' })).to.include({ code: 400, reason: 'BadRequest' });
    await upstream.close();
    expect(await seen('/api')).to.include({ kind: 'Status', code: 503, reason: 'ServiceUnavailable' });
    upstream = await OtherUpstream.start(() => undefined);
  });

  it('comes over HTTP/2, too', async () => {
    caller = impersonated;
    const session = connectHttp2(`http://127.0.0.1:${portOf(newer)}`);
    const stream = session.request({
      ':path': '/api//x',
      ':method': 'POST',
      authorization: 'Bearer x',
      'x-remote-user': 'a',
    });
    stream.end('a body');
    const got = JSON.parse(Buffer.concat((await stream.toArray()) as Buffer[]).toString()) as Seen;
    expect(got).to.include({ method: 'POST', url: '/api//x', body: 'a body', shown: 'proxy' });
    expect(got.headers).to.include({ 'impersonate-user': 'alice', host: client.authority });
    expect(got.headers).not.to.have.any.keys('authorization', 'x-remote-user');
    session.close();
    await once(session, 'close');
  });

  describe('as an upgrade', () => {
    const head = (...lines: string[]): string =>
      [
        'GET /apis/x/../y?q HTTP/1.1',
        'Host: h',
        'Connection: Upgrade',
        'Upgrade: websocket',
        ...lines,
        '',
        '',
      ].join('\r\n');

    it('has the credentials of the caller, and carries bytes both ways', async () => {
      let asked: IncomingMessage | undefined;
      upstream.server.once('upgrade', (request: IncomingMessage, socket: Duplex) => {
        asked = request;
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
        socket.pipe(socket);
      });
      const socket = connect(portOf(front), '127.0.0.1');
      const bearer = 'Sec-WebSocket-Protocol: v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.eA';
      socket.write(
        head('Authorization: Bearer x', 'X-Remote-User: admin', 'Impersonate-User: admin', bearer),
      );
      socket.write('hello');
      let text = '';
      for await (const part of socket) {
        text += String(part);
        if (text.endsWith('hello')) break;
      }
      expect(text).to.match(/^HTTP\/1\.1 101 /);
      expect(asked?.url).to.equal('/apis/x/../y?q');
      expect(asked?.headers).to.deep.equal({
        host: client.authority,
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-protocol': 'v4.channel.k8s.io',
        'x-forwarded-for': '127.0.0.1',
        authorization: 'Bearer theirs',
      });
    });

    it('passes on whatever the upstream says in place of a 101', async () => {
      upstream.server.once('upgrade', (_request: IncomingMessage, socket: Duplex) => {
        socket.end('HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 4\r\n\r\nbody');
      });
      const socket = connect(portOf(front), '127.0.0.1');
      socket.write(head());
      const text = Buffer.concat((await socket.toArray()) as Buffer[]).toString();
      expect(text)
        .to.match(/^HTTP\/1\.1 302 /)
        .and.to.match(/body$/);
    });

    it('gets a Status when the upstream is not there', async () => {
      await upstream.close();
      const socket = connect(portOf(front), '127.0.0.1');
      socket.write(head());
      const text = Buffer.concat((await socket.toArray()) as Buffer[]).toString();
      expect(text).to.contain('"kind":"Status"').and.to.contain('error dialing backend');
      upstream = await OtherUpstream.start(() => undefined);
    });
  });
});
