import { expect } from 'chai';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:net';
import { inspect } from 'node:util';
import { StatusError } from '../../../lib/apiserver/status-error.js';
import { UpstreamClient } from '../../../lib/apiserver/upstream/upstream-client.js';
import { InvalidOptionError } from '../../../lib/errors.js';
import { createAuthority } from '../../../lib/testing/certificates.js';
import { until } from '../../support/dialer.js';
import { answerJson, callerWith, nobody, OtherUpstream, shownBy } from './other-upstream.js';

async function failureOf(promise: Promise<unknown>): Promise<StatusError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(StatusError);
  return error as StatusError;
}

describe('apiserver: the client of the upstream', () => {
  let upstream: OtherUpstream;

  beforeEach(async () => {
    upstream = await OtherUpstream.start((request, response) => {
      const { method, url, headers } = request;
      answerJson(response, { method, url, headers, shown: shownBy(request) ?? null });
    });
  });

  afterEach(() => upstream.close());

  const ownCertificate = () => {
    const { certificate, privateKey } = upstream.authority.issue({ commonName: 'proxy', purpose: 'client' });
    return { clientCertificate: certificate, clientKey: privateKey };
  };

  it('asks in the name of the proxy with its token, and of a caller with theirs', async () => {
    const client = upstream.client({ token: 'own' });
    expect(await client.json('/api/v1/nodes/a?x=1', { as: 'proxy' })).to.deep.include({
      method: 'GET',
      url: '/api/v1/nodes/a?x=1',
    });
    const asProxy = (await client.json('/', { as: 'proxy' })) as { headers: object };
    expect(asProxy.headers).to.deep.include({ authorization: 'Bearer own', host: client.authority });
    const asCaller = (await client.json('/', { as: callerWith('theirs') })) as { headers: object };
    expect(asCaller.headers).to.include({ authorization: 'Bearer theirs' });
    const asNobody = (await client.json('/', { as: nobody })) as { headers: object };
    expect(asNobody.headers).not.to.have.property('authorization');
    expect(upstream.connections).to.equal(2);
  });

  it('shows its certificate only in its own name, or a token would not count', async () => {
    const client = upstream.client(ownCertificate());
    expect(await client.json('/', { as: 'proxy' })).to.include({ shown: 'proxy' });
    expect(await client.json('/', { as: callerWith('theirs') })).to.include({ shown: null });
    expect(await client.json('/', { as: nobody })).to.include({ shown: null });
    expect(await client.json('/', { as: { ...nobody, isImpersonated: true } })).to.include({
      shown: 'proxy',
    });
  });

  it('sends a body as JSON, under the path of the server', async () => {
    const client = upstream.client({ server: `${upstream.url}/clusters/c1/` });
    upstream.answer = (request, response) => {
      void request
        .toArray()
        .then((parts) =>
          answerJson(response, { url: request.url, body: String(Buffer.concat(parts as Buffer[])) }),
        );
    };
    const answer = await client.json('/apis/x', { as: nobody, method: 'POST', body: { kind: 'Review' } });
    expect(answer).to.deep.equal({ url: '/clusters/c1/apis/x', body: '{"kind":"Review"}' });
  });

  it('tells what the upstream refuses with as it is said, without what acts on a terminal', async () => {
    upstream.answer = (_request, response) =>
      answerJson(
        response,
        { kind: 'Status', message: 'nodes "a" is\u001b[31m forbidden', reason: 'Forbidden' },
        403,
      );
    const error = await failureOf(upstream.client().json('/', { as: callerWith('t') }));
    expect(error).to.include({ code: 403, reason: 'Forbidden', message: 'nodes "a" is [31m forbidden' });
  });

  it('does not tell a caller that they are unknown when it is the proxy that is', async () => {
    upstream.answer = (_request, response) =>
      answerJson(response, { message: 'Unauthorized', reason: 'Unauthorized' }, 401);
    const client = upstream.client({ token: 'old' });
    expect(await failureOf(client.json('/', { as: callerWith('t') }))).to.include({ code: 401 });
    const error = await failureOf(client.json('/', { as: 'proxy' }));
    expect(error).to.include({ code: 503, reason: 'ServiceUnavailable' });
    expect(error.message).to.contain('check its token');
  });

  it('says 503 when the upstream cannot be reached, or is another than it should be', async () => {
    const stranger = upstream.client({ certificateAuthority: createAuthority('other').certificate });
    expect(await failureOf(stranger.json('/', { as: nobody }))).to.include({ code: 503 });
    const misnamed = upstream.client({ serverName: 'api.example' });
    const error = await failureOf(misnamed.json('/', { as: nobody }));
    expect(error.cause).to.include({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' });
    const gone = upstream.client();
    await upstream.close();
    expect(await failureOf(gone.json('/', { as: nobody }))).to.include({
      code: 503,
      reason: 'ServiceUnavailable',
    });
    upstream = await OtherUpstream.start(() => undefined);
  });

  it('believes the host of its URL only, whatever the Host header says', async () => {
    await upstream.close();
    upstream = await OtherUpstream.start((_request, response) => answerJson(response, {}), ['evil.example']);
    const client = upstream.client();
    const question = { as: nobody, headers: { host: 'evil.example' } };
    expect(await failureOf(client.json('/', question))).to.include({ code: 503 });
  });

  it('says 504 when the upstream never answers, and the reason of a signal when that is aborted', async () => {
    upstream.answer = () => undefined;
    expect(await failureOf(upstream.client({ timeoutMs: 5 }).json('/', { as: nobody }))).to.include({
      code: 504,
      reason: 'Timeout',
    });
    const asked = once(upstream.server, 'request');
    const controller = new AbortController();
    const pending = upstream.client().json('/', { as: nobody, signal: controller.signal });
    await asked;
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await pending.catch((error: unknown) => error)).to.equal(reason);
  });

  it('asks a hundred questions at once, and the others when those are answered', async () => {
    const asked: ServerResponse[] = [];
    upstream.answer = (_request, response) => void asked.push(response);
    const client = upstream.client();
    const answers = Array.from({ length: 150 }, () => client.json('/', { as: nobody }));
    await until('a hundred are asked', () => asked.length === 100);
    expect(upstream.connections).to.equal(100);
    upstream.answer = (_request, response) => answerJson(response, {});
    for (const response of asked) answerJson(response, {});
    expect(await Promise.all(answers)).to.have.length(150);
    expect(upstream.connections).to.be.lessThan(151);
  });

  it('says when to try again if the upstream has too much to do', async () => {
    upstream.answer = (_request, response) =>
      answerJson(response, { reason: 'TooManyRequests', details: { retryAfterSeconds: 7 } }, 429);
    expect(await failureOf(upstream.client().json('/', { as: nobody }))).to.deep.include({
      code: 429,
      reason: 'TooManyRequests',
      details: { retryAfterSeconds: 7 },
    });
    upstream.answer = (_request, response) =>
      answerJson(response, { details: { retryAfterSeconds: '7\r\nX: y' } }, 429);
    expect(await failureOf(upstream.client().json('/', { as: nobody }))).to.include({ details: undefined });
  });

  it('does not wait for ever for TLS', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined).resume());
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as { port: number };
    const client = upstream.client({ server: `https://127.0.0.1:${port}`, connectTimeoutMs: 5 });
    const error = await failureOf(client.json('/', { as: nobody }));
    expect(error.message).to.contain('did not finish the TLS handshake within 5 ms');
    const failure: unknown = await client
      .backendFor(nobody)
      .connect()
      .catch((reason: unknown) => reason);
    expect(failure).to.include({ code: 'ETIMEDOUT' });
    silent.close();
    await once(silent, 'close');
  });

  it('reads no more than it may', async () => {
    upstream.answer = (_request, response) => answerJson(response, 'x'.repeat(2000));
    const client = upstream.client();
    expect(await failureOf(client.json('/', { as: nobody, maxBytes: 1000 }))).to.include({ code: 503 });
    upstream.answer = (_request, response) => response.writeHead(500).end('x'.repeat(200_000));
    expect(await failureOf(client.json('/', { as: nobody }))).to.include({ code: 500 });
    upstream.answer = (_request, response) => response.end('{"secret":');
    const error = await failureOf(client.json('/', { as: nobody }));
    expect(error.message).to.equal('the answer of the API server is not JSON');
  });

  it('takes a redirect, or another protocol, for no answer', async () => {
    const client = upstream.client();
    upstream.answer = (_request, response) => response.writeHead(302, { location: 'https://x' }).end();
    expect(await failureOf(client.json('/', { as: nobody }))).to.include({ code: 503 });
    upstream.answer = (request) =>
      request.socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n');
    expect(await failureOf(client.json('/', { as: nobody }))).to.include({ code: 503 });
  });

  it('asks again when a connection that was kept is dead', async () => {
    const client = upstream.client();
    let cutNext = false;
    upstream.answer = (request, response) => {
      if (cutNext) request.socket.destroy();
      else answerJson(response, { answered: true });
      cutNext = !cutNext;
    };
    await client.json('/', { as: nobody });
    expect(await client.json('/', { as: nobody })).to.deep.equal({ answered: true });
    expect(upstream.connections).to.equal(2);
  });

  it('connects anew with credentials that have changed, and lets what is under way finish', async () => {
    let current = { ca: upstream.authority.certificate, ...certificateOf('first') };
    const client = upstream.client({ certificateAuthority: undefined, tls: { current: () => current } });
    expect(await client.json('/', { as: 'proxy' })).to.include({ shown: 'first' });
    const { answer } = upstream;
    const held = new Promise<() => void>((resolve) => {
      upstream.answer = (request, response) => resolve(() => answer(request, response));
    });
    const underWay = client.json('/', { as: 'proxy' });
    const release = await held;
    upstream.answer = answer;
    current = { ...current, ...certificateOf('second') };
    expect(await client.json('/', { as: 'proxy' })).to.include({ shown: 'second' });
    release();
    expect(await underWay).to.include({ shown: 'first' });
  });

  function certificateOf(commonName: string): { cert: string; key: string } {
    const { certificate, privateKey } = upstream.authority.issue({ commonName, purpose: 'client' });
    return { cert: certificate, key: privateKey };
  }

  it('refuses a path that would lead elsewhere', async () => {
    const client = upstream.client();
    for (const path of ['/api/v1/nodes/..', '/api/%2e%2E/x', '/a b', '/a\r\nX: y', 'nodes', '/./x'])
      expect(await failureOf(client.json(path, { as: nobody })), path).to.include({ code: 400 });
    expect(upstream.connections).to.equal(0);
  });

  it('does not ask as nobody when it has no credentials of its own', async () => {
    const error = await failureOf(upstream.client().json('/', { as: 'proxy' }));
    expect(error.message).to.contain('give it a token or a client certificate');
    const unreadable = upstream.client({ token: () => Promise.reject(new Error('Bearer s3cret')) });
    const failure = await failureOf(unreadable.json('/', { as: 'proxy' }));
    expect(failure).to.include({ code: 503 });
    expect(failure.message).not.to.contain('s3cret');
  });

  it('answers nothing after its end', async () => {
    const client = upstream.client();
    client.close();
    expect(await failureOf(client.json('/', { as: nobody }))).to.include({ code: 503 });
  });

  it('shows no secret', () => {
    const { clientKey, ...rest } = ownCertificate();
    const client = upstream.client({ token: 's3cret', clientKey, ...rest });
    const shown =
      inspect(client, { depth: 9, showHidden: true }) + inspect(client.backendFor('proxy'), { depth: 9 });
    expect(shown).not.to.contain('s3cret');
    expect(shown).not.to.contain('PRIVATE KEY');
  });

  it('gives a connection of its own, and gives it up with a signal', async () => {
    const client = upstream.client(ownCertificate());
    const socket = await client.backendFor('proxy').connect();
    socket.end('GET /raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    const text = String(Buffer.concat((await socket.toArray()) as Buffer[]));
    expect(text).to.contain('"shown":"proxy"').and.to.contain('"url":"/raw"');
    const failure: unknown = await client
      .backendFor('proxy')
      .connect(AbortSignal.abort(new Error('enough')))
      .catch((error: unknown) => error);
    expect(failure).to.be.an('error').with.property('message', 'enough');
  });

  it('names the option that is wrong', () => {
    const server = 'https://127.0.0.1:1';
    const certificate = ownCertificate();
    const wrong: [object, string][] = [
      [{}, 'server'],
      [{ server: 'http://127.0.0.1' }, 'server'],
      [{ server: 'https://user:pass@127.0.0.1' }, 'server'],
      [{ server, certificateAuthority: '/etc/ca.crt' }, 'certificateAuthority'],
      [{ server, clientKey: certificate.clientKey }, 'clientCertificate'],
      [{ server, ...certificate, clientKey: ownCertificate().clientKey }, 'clientKey'],
      [{ server, token: 'a', tokenFile: '/b' }, 'tokenFile'],
      [{ server, token: 'a\nb' }, 'token'],
      [{ server, timeoutMs: 0 }, 'timeoutMs'],
      [{ server, certificatAuthority: 'x' }, 'certificatAuthority'],
    ];
    for (const [options, option] of wrong) {
      const make = (): unknown => new UpstreamClient(options as { server: string });
      expect(make, option).to.throw(InvalidOptionError).with.property('option', option);
    }
  });
});
