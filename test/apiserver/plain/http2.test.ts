import { expect } from 'chai';
import { once } from 'node:events';
import http2, {
  type ClientHttp2Session,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type IncomingHttpHeaders,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { IncomingMessage } from 'node:http';
import tls from 'node:tls';
import { clientAnswer } from '../../../lib/apiserver/plain/client-answer.js';
import { field } from '../../../lib/apiserver/plain/fields.js';
import { turns, uncaughtDuring, until } from '../../support/dialer.js';
import { mirror, prefixOf, ProxyStage, seenBy } from './stage.js';

type Headers = IncomingHttpHeaders & { ':status'?: number };

describe('apiserver: a plain request over HTTP/2', () => {
  let stage: ProxyStage;
  let session: ClientHttp2Session;
  beforeEach(async () => {
    stage = await ProxyStage.start();
    session = await stage.session();
  });
  afterEach(() => stage.end());

  const begin = async (headers: http2.OutgoingHttpHeaders, body?: string) => {
    const stream = session.request({ ':path': `${prefixOf('p')}/`, ...headers }, { endStream: false });
    stream.on('error', () => undefined);
    stream.end(body);
    const [answer] = (await once(stream, 'response')) as [Headers];
    return { stream, headers: answer };
  };
  const fetch = async (headers: http2.OutgoingHttpHeaders = {}, body?: string) => {
    const { stream, headers: answer } = await begin(headers, body);
    return { headers: answer, body: await text(stream) };
  };

  it('AC-23: reaches the backend as one of HTTP/1.1, with the authority as its Host and one Cookie', async () => {
    await stage.http('p', mirror);
    const { body } = await fetch({
      ':authority': 'apiserver.example',
      cookie: ['a=1', 'b=2'],
      authorization: 'very-secret',
      'x-remote-user': 'very-secret',
      'x-kept': 'kept',
      te: 'trailers',
    });
    const seen = seenBy({ body } as never);
    expect(body).to.not.contain('very-secret');
    expect(seen.headers).to.include({
      host: 'apiserver.example',
      cookie: 'a=1; b=2',
      'x-kept': 'kept',
      te: 'trailers',
    });
    expect(seen.rawHeaders.join(' ')).to.not.contain(':path');
    expect(seen.headers).to.include({ 'x-forwarded-for': '127.0.0.1' });
  });

  it('AC-15: has its body, with a length, without one, or none', async () => {
    await stage.http('p', mirror);
    const withLength = seenBy((await fetch({ ':method': 'POST', 'content-length': 5 }, 'abcde')) as never);
    expect(withLength).to.include({ body: 'abcde' });
    expect(withLength.headers).to.include({ 'content-length': '5' });
    const without = seenBy((await fetch({ ':method': 'POST' }, 'abcde')) as never);
    expect(without).to.include({ body: 'abcde' });
    expect(without.headers).to.include({ 'transfer-encoding': 'chunked' });
    const stream = session.request({ ':path': `${prefixOf('p')}/`, ':method': 'GET' });
    expect(seenBy({ body: await text(stream) } as never).headers).to.not.have.any.keys(
      'content-length',
      'transfer-encoding',
    );
  });

  it('is answered without what HTTP/2 does not have, and with repeats', async () => {
    await stage.http('p', (_request, response) => {
      response.writeHead(201, 'Words', [
        ...['Connection', 'keep-alive, x-listed', 'Keep-Alive', 'timeout=5', 'X-Listed', 'x'],
        ...['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'X-Content-Type-Options', 'nosniff'],
        ...['X-Content-Type-Options', 'nosniff', 'X-Two', '1', 'X-Two', '2', '__proto__', 'p'],
      ]);
      response.end('ok');
    });
    const { headers, body } = await fetch();
    expect(body).to.equal('ok');
    expect(headers[':status']).to.equal(201);
    expect(headers['set-cookie']).to.deep.equal(['a=1', 'b=2']);
    expect(headers).to.include({ 'x-content-type-options': 'nosniff, nosniff', 'x-two': '1, 2' });
    expect(headers).to.not.have.any.keys('connection', 'keep-alive', 'transfer-encoding', 'x-listed');
    expect(Object.getOwnPropertyDescriptor(headers, '__proto__')?.value ?? 'p').to.equal('p');
  });

  it('AC-10: has its links changed', async () => {
    await stage.http('p', (_request, response) => {
      response.setHeader('Content-Type', 'text/html').end('<a href="/x">');
    });
    expect((await fetch()).body).to.equal(`<a href="${prefixOf('p')}/x">`);
  });

  it('AC-16: is answered when the backend begins, though it never ends', async () => {
    await stage.http('p', (_request, response) => response.writeHead(200).flushHeaders());
    const { stream, headers } = await begin({});
    expect(headers[':status']).to.equal(200);
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await Promise.all(stage.outcomes);
  });

  it('AC-17: to a backend that does not answer is a Status 503', async () => {
    await stage.raw('p', (socket) => void socket.once('data', () => socket.destroy()));
    const { headers, body } = await fetch();
    expect(headers[':status']).to.equal(503);
    expect(JSON.parse(body)).to.include({ kind: 'Status', reason: 'ServiceUnavailable' });
  });

  it('is answered with a Status where the answer has a status that HTTP/2 does not, and with nothing of that answer', async () => {
    await stage.http('p', (_request, response) => response.writeHead(700, { 'X-Left': 'over' }).end());
    const { headers } = await fetch();
    expect(headers).to.include({ ':status': 503 }).and.not.have.property('x-left');
  });

  it('is answered without a body where there is none', async () => {
    await stage.http('p', (request, response) => {
      response.writeHead(request.method === 'HEAD' ? 200 : 204, { ETag: '"x"' }).end();
    });
    expect((await fetch({ ':method': 'HEAD' })).headers).to.include({ ':status': 200, etag: '"x"' });
    expect(await fetch()).to.have.property('body', '');
  });

  it('is answered to its end before its stream is closed, because clients in Go fail otherwise', async () => {
    await stage.http('p', (_request, response) => response.writeHead(200, { 'Content-Length': 2 }).end('ok'));
    const port = await stage.front('http2');
    expect(await endsOf(port, 'GET', prefixOf('p'))).to.deep.equal(['END_STREAM']);
    // The upload never ends, and is not wanted any more.
    expect(await endsOf(port, 'PUT', prefixOf('p'))).to.deep.equal(['END_STREAM', 'RST_STREAM']);
  });

  it('has the trailers of the backend, and the backend has its own', async () => {
    await stage.http('p', (request, response) => {
      request.resume().once('end', () => {
        response.writeHead(200, { Trailer: 'X-Sum' }).write('abc');
        response.addTrailers({ 'X-Sum': JSON.stringify(request.rawTrailers) });
        response.end();
      });
    });
    const stream = session.request(
      { ':path': `${prefixOf('p')}/`, ':method': 'POST' },
      { endStream: false, waitForTrailers: true },
    );
    stream.once('wantTrailers', () => stream.sendTrailers({ 'x-up': '1', authorization: 'very-secret' }));
    const trailers = once(stream, 'trailers') as Promise<[Headers]>;
    stream.end('body');
    expect(await text(stream)).to.equal('abc');
    expect((await trailers)[0]).to.include({ 'x-sum': '["x-up","1"]' });
  });

  it('is told of early hints', async () => {
    await stage.http('p', (_request, response) => {
      response.writeEarlyHints({ link: '</a.css>; rel=preload' }, () => response.end('ok'));
    });
    const stream = session.request({ ':path': `${prefixOf('p')}/` });
    const [hints] = (await once(stream, 'headers')) as [Headers];
    expect(hints).to.include({ ':status': 103, link: '</a.css>; rel=preload' });
    expect(await text(stream)).to.equal('ok');
  });

  it('breaks off when the backend does, and never ends cleanly', async () => {
    await stage.http('p', (_request, response) => {
      response.write('the first part', () => response.socket?.resetAndDestroy());
    });
    const { stream } = await begin({});
    const [error] = (await once(stream.resume(), 'error')) as [NodeJS.ErrnoException];
    expect(error.message).to.contain('NGHTTP2_INTERNAL_ERROR');
    expect(session.destroyed).to.equal(false);
  });

  it('is given up at the backend when the client gives it up', async () => {
    const server = await stage.http('p', (_request, response) => void response.write('x'));
    const asked = once(server, 'request') as Promise<[IncomingMessage]>;
    const { stream } = await begin({});
    const gone = once((await asked)[0].socket, 'close');
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await gone;
    await Promise.all(stage.outcomes);
  });

  // With the latter, Node ends the stream only when all of it has been read.
  for (const why of ['NGHTTP2_CANCEL', 'NGHTTP2_NO_ERROR'] as const) {
    it(`is given up at the backend when the client resets an upload that nobody reads any more with ${why}`, async () => {
      const server = await stage.http('p', () => undefined);
      const asked = once(server, 'request') as Promise<[IncomingMessage]>;
      const stream = session.request(
        { ':path': `${prefixOf('p')}/`, ':method': 'PUT' },
        { endStream: false },
      );
      stream.on('error', () => undefined).write(Buffer.alloc(64 * 2 ** 20));
      const [request] = await asked;
      let before = -1;
      // Until all that lies between has been filled.
      while (before !== session.socket.bytesWritten) {
        before = session.socket.bytesWritten;
        await turns(200);
      }
      stream.close(http2.constants[why]);
      await Promise.all(stage.outcomes);
      const gone = new Promise((resolve) => request.once('close', resolve));
      request.on('error', () => undefined).resume();
      await gone;
      expect(request.complete).to.equal(false);
    });
  }

  it('is told nothing when its stream has been reset, before it is destroyed', async () => {
    const server = http2.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    stage.onEnd(() => server.close());
    const { port } = server.address() as AddressInfo;
    const own = http2.connect(`http://127.0.0.1:${port}`);
    stage.onEnd(() => own.destroy());
    const requested = once(server, 'request') as Promise<[Http2ServerRequest, Http2ServerResponse]>;
    const stream = own.request({ ':method': 'PUT' }, { endStream: false });
    stream.on('error', () => undefined).write(Buffer.alloc(2 ** 20));
    const [request, response] = await requested;
    request.read(1);
    await until('more than is read', () => response.stream.readableLength > 0);
    const answer = clientAnswer(response);
    const told = new Promise<readonly boolean[]>((resolve, reject) => {
      response.stream.once('aborted', () => {
        try {
          // As a backend's does that comes now.
          for (const status of [102, 103]) answer.inform(status, [field('Link', '</a.css>; rel=preload')]);
          resolve([response.stream.destroyed, answer.isGone]);
        } catch (error) {
          reject(error);
        }
      });
    });
    stream.close(http2.constants.NGHTTP2_CANCEL);
    expect(await told).to.deep.equal([false, true]);
  });

  it('is reset while the backend sends informational answers, which harms nobody else', async () => {
    await stage.http('other', mirror);
    await stage.raw('p', (socket) => {
      const hint = (): void => {
        if (socket.destroyed || !socket.writable) return;
        socket.write('HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n');
        setImmediate(hint);
      };
      socket.once('data', hint);
    });
    const caught = await uncaughtDuring(async () => {
      for (let count = 0; count < 20; count += 1) {
        const stream = session.request(
          { ':path': `${prefixOf('p')}/`, ':method': 'PUT' },
          { endStream: false },
        );
        stream.on('error', () => undefined).write('x');
        await once(stream, 'headers');
        stream.close(http2.constants.NGHTTP2_CANCEL);
      }
      await Promise.all(stage.outcomes);
    });
    expect(caught).to.deep.equal([]);
    expect((await fetch({ ':path': `${prefixOf('other')}/` })).headers).to.include({ ':status': 200 });
  });

  it('is not read faster than the client reads', async () => {
    let written = 0;
    const server = await stage.http('p', (_request, response) => {
      const chunk = Buffer.alloc(64 * 1024);
      const more = (): void => {
        do written += chunk.length;
        while (response.write(chunk));
      };
      response.on('drain', more);
      more();
    });
    const asked = once(server, 'request') as Promise<[IncomingMessage]>;
    const settled = async (): Promise<number> => {
      for (let before = -1; before !== written;) {
        before = written;
        await turns(100);
      }
      return written;
    };
    const { stream } = await begin({});
    const [{ socket }] = await asked;
    // Of a body without end it holds what it can take before the client has read any of it.
    const held = await settled();
    expect(held).to.be.lessThan(32 * 2 ** 20);
    let taken = 0;
    stream.on('data', (chunk: Buffer) => {
      taken += chunk.length;
      if (taken > 16 * 2 ** 20) stream.pause();
    });
    await once(stream, 'pause');
    expect(await settled()).to.be.within(held + 2 ** 20, held + 32 * 2 ** 20);
    const gone = new Promise((resolve) => socket.once('close', resolve));
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await gone;
    await Promise.all(stage.outcomes);
    expect(session.destroyed).to.equal(false);
  });

  it('of whose body the backend wants no more: its answer arrives, and the session is used on', async () => {
    await stage.http('p', (request, response) => {
      if (request.method === 'GET') response.end('again');
      else response.writeHead(413, { Connection: 'close' }).end('too much');
    });
    const stream = session.request({ ':path': `${prefixOf('p')}/`, ':method': 'PUT' }, { endStream: false });
    stream.on('error', () => undefined).write('x');
    const [headers] = (await once(stream, 'response')) as [Headers];
    expect(headers[':status']).to.equal(413);
    let got = '';
    stream.on('data', (chunk: Buffer) => (got += chunk.toString()));
    await until('the end of the stream', () => stream.closed && got !== '');
    expect(got).to.equal('too much');
    expect(stream.rstCode).to.equal(http2.constants.NGHTTP2_NO_ERROR);
    expect((await fetch()).body).to.equal('again');
    await Promise.all(stage.outcomes);
  });

  it('of whose body no byte comes reaches the backend all the same, which may answer it', async () => {
    await stage.http('p', (_request, response) => response.writeHead(422).end());
    const stream = session.request({ ':path': `${prefixOf('p')}/`, ':method': 'PUT' }, { endStream: false });
    const [headers] = (await once(
      stream.on('error', () => undefined),
      'response',
    )) as [Headers];
    expect(headers[':status']).to.equal(422);
    stream.close(http2.constants.NGHTTP2_CANCEL);
    await Promise.all(stage.outcomes);
  });

  it('with a method in lower case is not taken for another', async () => {
    await stage.http('p', mirror);
    const { headers } = await fetch({ ':method': 'get' });
    expect(headers[':status']).to.equal(405);
  });
});

/** How the answer to a request ends on the wire, up to a PING that is sent then (RFC 9113 §6, RFC 7541 §6). */
async function endsOf(port: number, method: 'GET' | 'PUT', prefix: string): Promise<readonly string[]> {
  const frame = (type: number, flags: number, stream: number, payload: Buffer): Buffer => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head.writeUInt8(type, 3);
    head.writeUInt8(flags, 4);
    head.writeUInt32BE(stream, 5);
    return Buffer.concat([head, payload]);
  };
  const literal = (name: number, value: string): Buffer =>
    Buffer.from([name, value.length, ...Buffer.from(value)]);
  const fields = [literal(2, method), Buffer.from([0x87]), literal(4, `${prefix}/`), literal(1, 'a.example')];
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ALPNProtocols: ['h2'] });
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  socket.write(frame(4, 0, 0, Buffer.alloc(0)));
  socket.write(frame(1, method === 'GET' ? 5 : 4, 1, Buffer.concat(fields)));
  const seen: string[] = [];
  if (method === 'PUT') socket.write(frame(0, 0, 1, Buffer.from('x')));
  let rest = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    rest = Buffer.concat([rest, chunk]);
    for (let length = 9; rest.length >= 9; rest = rest.subarray(length)) {
      length = 9 + rest.readUIntBE(0, 3);
      if (rest.length < length) break;
      const [type, flags] = [rest.readUInt8(3), rest.readUInt8(4)];
      if (type === 6) return seen;
      if (rest.readUInt32BE(5) !== 1) continue;
      if (type === 3) seen.push('RST_STREAM');
      if (type < 2 && (flags & 1) === 1) seen.push('END_STREAM');
      // Whatever else there is comes before the answer to a PING.
      if (type === 3 || (flags & 1) === 1) socket.write(frame(6, 0, 0, Buffer.alloc(8)));
    }
  }
  return seen;
}
