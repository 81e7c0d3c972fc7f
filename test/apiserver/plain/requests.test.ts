import { expect } from 'chai';
import { gzipSync } from 'node:zlib';
import { mirror, prefixOf, ProxyStage, seenBy, type Seen } from './stage.js';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'];

describe('apiserver: a plain request', () => {
  let stage: ProxyStage;
  beforeEach(async () => {
    stage = await ProxyStage.start();
    await stage.http('p', mirror);
  });
  afterEach(() => stage.end());

  for (const kind of ['pods', 'services'])
    it(`AC-11: every method reaches the backend of ${kind} as it is, with its path`, async () => {
      const seen: string[] = [];
      await stage.http('q', (request, response) => {
        seen.push(`${request.method ?? ''} ${request.url ?? ''}`);
        request.resume();
        response.end('ok');
      });
      const prefix = prefixOf('q').replace('pods', kind);
      for (const method of METHODS) {
        const { status, body } = await stage.fetch(`${prefix}/some/path/with/${method}`, { method });
        expect([status, body], method).to.deep.equal([200, method === 'HEAD' ? '' : 'ok']);
      }
      expect(seen).to.deep.equal(METHODS.map((method) => `${method} /some/path/with/${method}`));
    });

  it('AC-12: without a slash at the end, GET and HEAD are redirected and others reach the root of the backend', async () => {
    for (const method of METHODS) {
      const answer = await stage.fetch(`${prefixOf('p')}?method=${method}`, { method });
      if (method === 'GET' || method === 'HEAD') {
        expect(answer.status, method).to.equal(301);
        expect(answer.headers.location).to.equal(`${prefixOf('p')}/?method=${method}`);
      } else expect(seenBy(answer), method).to.include({ method, url: `/?method=${method}` });
    }
  });

  it('AC-13: method, path, query and body arrive unaltered', async () => {
    const answer = await stage.fetch(`${prefixOf('p')}/some/path/?param1=value/1&param2=value%2`, {
      method: 'POST',
      body: 'test request body',
    });
    expect(seenBy(answer)).to.include({
      method: 'POST',
      url: '/some/path/?param1=value/1&param2=value%2',
      body: 'test request body',
    });
  });

  it('AC-14: headers reach the backend, in their order, case and number', async () => {
    const headers = [
      'Host',
      'h',
      'Header1',
      'value1',
      'Header2',
      'value2',
      'X-a',
      '1',
      'X-A',
      '2',
      'heAder1',
      '',
    ];
    const answer = await stage.fetch(`${prefixOf('p')}/`, { method: 'PUT', headers });
    const { rawHeaders } = seenBy(answer);
    expect(rawHeaders.slice(0, headers.length)).to.deep.equal(headers);
  });

  describe('AC-15: the body of a raw POST', () => {
    const post = async (head: string[], body: string) => {
      const lines = [`POST ${prefixOf('p')}/ HTTP/1.1`, 'Host: h', 'Connection: close', ...head, '', body];
      const answer = await stage.exchange(lines.join('\r\n'));
      expect(answer).to.match(/^HTTP\/1.1 200 /);
      const [, text = ''] = /\r\n\r\n(?:[0-9a-f]+\r\n)?({.*})/.exec(answer) ?? [];
      return JSON.parse(Buffer.from(text, 'latin1').toString()) as Seen;
    };
    const gzipped = gzipSync('abcde').toString('latin1');
    const chunked = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;

    it('keeps its length', async () => {
      const { headers, body } = await post(['Content-Length: 5'], 'abcde');
      expect(body).to.equal('abcde');
      expect(headers).to.include({ 'content-length': '5' }).and.not.have.property('transfer-encoding');
    });

    it('that is gzip stays so, byte for byte', async () => {
      const length = `Content-Length: ${gzipped.length}`;
      const { headers, body } = await post([length, 'Content-Encoding: gzip'], gzipped);
      expect(body).to.equal(gzipped);
      expect(headers).to.include({ 'content-encoding': 'gzip', 'content-length': String(gzipped.length) });
    });

    it('that is chunked stays so', async () => {
      const { headers, body } = await post(['Transfer-Encoding: chunked'], chunked('abcde'));
      expect(body).to.equal('abcde');
      expect(headers).to.include({ 'transfer-encoding': 'chunked' }).and.not.have.property('content-length');
    });

    it('that is chunked and gzip stays both', async () => {
      const head = ['Transfer-Encoding: chunked', 'Content-Encoding: gzip'];
      const { headers, body } = await post(head, chunked(gzipped));
      expect(body).to.equal(gzipped);
      expect(headers).to.include({ 'content-encoding': 'gzip', 'transfer-encoding': 'chunked' });
    });

    it('may be chunked for a method that has none as a rule', async () => {
      const answer = await stage.fetch(`${prefixOf('p')}/`, {
        method: 'DELETE',
        headers: { 'Transfer-Encoding': 'chunked' },
        body: 'why',
      });
      expect(seenBy(answer)).to.include({ method: 'DELETE', body: 'why' });
    });

    it('may be none, which is told where there usually is one', async () => {
      expect((await post([], '')).headers).to.include({ 'content-length': '0' });
      const { headers } = seenBy(await stage.fetch(`${prefixOf('p')}/`));
      expect(headers).to.not.have.any.keys('content-length', 'transfer-encoding');
    });

    it('keeps its trailers, but for those that are not trailers', async () => {
      const head = ['Transfer-Encoding: chunked', 'Trailer: X-Sum, Host', 'TE: trailers'];
      const trailers = 'X-Sum: 5\r\nHost: evil\r\nAuthorization: a\r\nX-Forwarded-For: b';
      const { rawTrailers, headers } = await post(head, `5\r\nabcde\r\n0\r\n${trailers}\r\n\r\n`);
      expect(rawTrailers).to.deep.equal(['X-Sum', '5']);
      expect(headers).to.include({ te: 'trailers', host: 'h' });
    });
  });

  it('AC-22: the backend is told the path by which the client knows it, escaped', async () => {
    const uri = async (rest: string) =>
      seenBy(await stage.fetch(`${prefixOf('p')}${rest}`)).headers['x-forwarded-uri'];
    expect(await uri('/logs/log.log')).to.equal(`${prefixOf('p')}/logs/log.log`);
    expect(await uri('/logs/?a=b')).to.equal(`${prefixOf('p')}/logs/`);
    expect(await uri('/%00<script>alert(1)')).to.equal(`${prefixOf('p')}/%00%3Cscript%3Ealert%281%29`);
    expect(await uri('/')).to.equal(`${prefixOf('p')}/`);
  });

  it('AC-22: the backend is told host and scheme only for an absolute target', async () => {
    const { headers } = seenBy(await stage.fetch(`${prefixOf('p')}/`));
    expect(headers).to.not.have.any.keys('x-forwarded-host', 'x-forwarded-proto');
    const absolute = await stage.fetch(`http://proxy.example:80${prefixOf('p')}/x`, {
      headers: { host: 'other' },
    });
    expect(seenBy(absolute)).to.have.property('url', '/x');
    expect(seenBy(absolute).headers).to.include({
      host: 'proxy.example:80',
      'x-forwarded-host': 'proxy.example:80',
      'x-forwarded-proto': 'http',
    });
  });

  it('AC-22: what the client says of the path is not believed', async () => {
    const headers = { 'X-Forwarded-Uri': '/forged' };
    const { rawHeaders } = seenBy(await stage.fetch(`${prefixOf('p')}/x`, { headers }));
    expect(rawHeaders.join(' ')).to.not.contain('forged');
  });

  it('AC-23: credentials and what belongs to the connection are not seen by the pod', async () => {
    const secret = 'very-secret';
    const headers = [
      ...['Host', 'h', 'Authorization', `Bearer ${secret}`, 'authorization', secret],
      ...['Impersonate-User', secret, 'impersonate-group', secret, 'Impersonate-Extra-Scopes', secret],
      ...[
        'Impersonate-Uid',
        secret,
        'X-Remote-User',
        secret,
        'x-remote-group',
        secret,
        'X_Remote_User',
        secret,
      ],
      ...[
        'X-Remote-Extra-a',
        secret,
        'Sec-WebSocket-Protocol',
        `base64url.bearer.authorization.k8s.io.${secret}`,
        'sec-websocket-protocol',
        `v4.channel.k8s.io, Base64Url.Bearer.Authorization.k8s.io.${secret}`,
      ],
      ...['Proxy-Authorization', secret, 'Proxy-Connection', secret, 'Keep-Alive', secret],
      ...['Proxy-Authenticate', secret, 'TE', 'gzip', 'Upgrade', secret, 'X-Listed', secret],
      ...['Connection', 'keep-alive, x-listed', 'Cookie', 'kept=1'],
    ];
    const seen = seenBy(await stage.fetch(`${prefixOf('p')}/`, { headers }));
    expect(JSON.stringify(seen)).to.not.contain(secret);
    expect(seen.headers)
      .to.include({ cookie: 'kept=1', connection: 'keep-alive' })
      .and.not.have.property('te');
  });

  it('AC-23: X-Forwarded-For has the address of the client at its end', async () => {
    const forwardedFor = async (headers: readonly string[]) =>
      seenBy(await stage.fetch(`${prefixOf('p')}/`, { headers: ['Host', 'h', ...headers] })).headers[
        'x-forwarded-for'
      ];
    expect(await forwardedFor([])).to.equal('127.0.0.1');
    expect(await forwardedFor(['X-Forwarded-For', '1.2.3.4', 'x-forwarded-for', '5.6.7.8'])).to.equal(
      '1.2.3.4, 5.6.7.8, 127.0.0.1',
    );
    stage.relayOptions = { clientAddress: '2001:db8::1' };
    expect(await forwardedFor(['X-Forwarded-For', '1.2.3.4'])).to.equal('1.2.3.4, 2001:db8::1');
  });

  it("AC-23: Host is the client's", async () => {
    const { headers } = seenBy(
      await stage.fetch(`${prefixOf('p')}/`, { headers: { Host: 'apiserver.example' } }),
    );
    expect(headers.host).to.equal('apiserver.example');
  });

  it('AC-23: nothing is added beside', async () => {
    const { rawHeaders } = seenBy(await stage.fetch(`${prefixOf('p')}/`, { headers: ['Host', 'h'] }));
    const names = rawHeaders.filter((_, at) => at % 2 === 0);
    expect(names).to.deep.equal(['Host', 'X-Forwarded-For', 'X-Forwarded-Uri', 'Connection']);
  });

  it('AC-24: a path with dot segments and repeated slashes reaches the backend cleaned up', async () => {
    for (const [rest, url] of [
      ['/a/../b//c/', '/b/c/'],
      ['/%2e%2e/%2e%2e/api/v1/secrets', '/api/v1/secrets'],
      ['//evil.example/x', '/evil.example/x'],
      ['/..', '/'],
    ]) {
      const answer = await stage.fetch(`${prefixOf('p')}${rest ?? ''}`);
      expect(seenBy(answer).url, rest).to.equal(url);
    }
  });

  it('is refused by a method that kube-apiserver does not proxy', async () => {
    const answer = await stage.fetch(`${prefixOf('p')}/`, { method: 'PROPFIND' });
    expect(answer.status).to.equal(405);
    expect(JSON.parse(answer.body)).to.include({ kind: 'Status', reason: 'MethodNotAllowed' });
  });

  it('without rewrites is told nothing of a prefix', async () => {
    stage.relayOptions = { rewrites: false };
    const { headers } = seenBy(await stage.fetch(`${prefixOf('p')}/`));
    expect(headers).to.not.have.property('x-forwarded-uri');
  });

  it('may have 1 MiB of headers, more than a thousand of them', async () => {
    const headers = [
      'Host',
      'h',
      ...Array.from({ length: 9000 }, (_, n) => [`X-${n}`, 'v'.repeat(90)]).flat(),
    ];
    const { rawHeaders } = seenBy(await stage.fetch(`${prefixOf('p')}/`, { headers }));
    expect(rawHeaders).to.have.length.greaterThan(18_000);
  });
});
