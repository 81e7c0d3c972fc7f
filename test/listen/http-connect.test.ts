import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import sinon, { type SinonFakeTimers } from 'sinon';
import { ProxyAgent, fetch } from 'undici';
import { createAuthority } from '../../lib/testing/index.js';
import {
  AllNodesFailedError,
  ChannelRefusedError,
  DialTimeoutError,
  EndpointError,
  NodeUnavailableError,
  NoRouteError,
} from '../../lib/index.js';
import {
  httpConnect,
  type HttpConnectOptions,
  type LocalListener,
  type TcpAddress,
} from '../../lib/listen/index.js';
import { Stage } from '../http/stage.js';
import { read, readAll, roundTrip, turn, until } from '../support/dialer.js';
import { connect, fate, folder, use } from './clients.js';

const run = promisify(execFile);
const LOGIN = { username: 'operator', password: 'a: secret' };
const authority = createAuthority('cluster-ca');

describe('httpConnect', () => {
  let stage: Stage;
  let port: number;
  beforeEach(async () => {
    stage = await Stage.start();
    ({ port } = await stage.endpoint());
  });
  afterEach(() => stage.end());

  const proxy = (options?: HttpConnectOptions): Promise<LocalListener<TcpAddress>> =>
    use(stage, httpConnect(stage.recorder, options as HttpConnectOptions<object>));

  function send(listener: LocalListener, text: string): Socket {
    const client = connect(stage, listener);
    client.write(text);
    return client;
  }

  const answerTo = async (listener: LocalListener, text: string): Promise<string> =>
    (await readAll(send(listener, text))).toString();

  const request = (to = `127.0.0.1:${port}`, ...fields: readonly string[]): string =>
    [`CONNECT ${to} HTTP/1.1`, `Host: ${to}`, ...fields, '', ''].join('\r\n');

  describe('with clients of HTTPS', () => {
    let url: string;
    let caFile: string;
    beforeEach(async () => {
      const { certificate: cert, privateKey: key } = authority.issue({
        commonName: 'endpoint',
        altNames: ['localhost', '127.0.0.1'],
      });
      const { port: secure } = await stage.https({ cert, key }, (_request, response) =>
        response.end('hello'),
      );
      url = `https://localhost:${secure}/`;
      caFile = join(folder(stage), 'ca.crt');
      writeFileSync(caFile, authority.certificate);
    });

    const curl = (...args: string[]): Promise<string> =>
      run('curl', ['-sS', '--max-time', '10', '--noproxy', '', '--cacert', caFile, ...args, url]).then(
        ({ stdout }) => stdout,
        (error: unknown) => (error as { stderr: string }).stderr,
      );

    it('carries a request of curl, and the name is left to the node', async () => {
      expect(await curl('--proxy', (await proxy()).url ?? '')).to.equal('hello');
      expect(stage.recorder.last.remoteAddress).to.equal('localhost');
    });

    it('carries one of curl that logs in, and refuses the others with 407', async () => {
      const at = (await proxy(LOGIN)).url ?? '';
      const user = `${LOGIN.username}:${LOGIN.password}`;
      expect(await curl('--proxy', at, '-U', user)).to.equal('hello');
      expect(await curl('--proxy', at, '-U', user, '--proxy-anyauth')).to.equal('hello');
      expect(await curl('--proxy', at, '-U', 'operator:wrong')).to.include('407');
      expect(await curl('--proxy', at)).to.include('407');
      expect(stage.recorder.sockets).to.have.length(2);
    });

    it("carries requests of undici's ProxyAgent, with a login", async () => {
      const token = `Basic ${Buffer.from(`${LOGIN.username}:${LOGIN.password}`).toString('base64')}`;
      const uri = (await proxy(LOGIN)).url ?? '';
      const dispatcher = new ProxyAgent({ uri, token, requestTls: { ca: authority.certificate } });
      stage.onEnd(() => dispatcher.destroy());
      for (let count = 0; count < 3; count += 1) {
        expect(await (await fetch(url, { dispatcher })).text()).to.equal('hello');
      }
    });
  });

  it('takes an IPv6 address in brackets', async () => {
    const asked: unknown[] = [];
    stage.recorder.dial = (host, to) => {
      asked.push([host, to]);
      return Promise.reject(new EndpointError('ECONNREFUSED', 'x'));
    };
    await answerTo(await proxy(), request('[fd00::1]:443'));
    expect(asked).to.deep.equal([['[fd00::1]', 443]]);
  });

  it('carries what comes early, behind the head', async () => {
    const client = send(await proxy(), `${request()}early `);
    client.end('late');
    expect((await readAll(client)).toString()).to.equal(
      'HTTP/1.1 200 Connection established\r\n\r\nearly late',
    );
  });

  it('takes a head byte by byte, and one without Host', async () => {
    const listener = await proxy();
    const client = connect(stage, listener);
    for (const character of `CONNECT 127.0.0.1:${port} HTTP/1.1\r\n\r\n`) {
      client.write(character);
      await turn();
    }
    await read(client, 'HTTP/1.1 200 Connection established\r\n\r\n'.length);
    await roundTrip(client);
  });

  const prohibited = new ChannelRefusedError('ERR_TUNNEL_PROHIBITED', 'not allowed');
  const statuses: [string, Error, number][] = [
    ['a refused connection', new EndpointError('ECONNREFUSED', 'refused'), 502],
    ['a name that does not exist', new EndpointError('ENOTFOUND', 'no such name'), 502],
    ['what sshd does not allow', prohibited, 502],
    ['no route', new NoRouteError('no route'), 502],
    ['a node that is not there', new NodeUnavailableError('in back-off', new Date()), 503],
    [
      'nodes that fail in different ways',
      new AllNodesFailedError([prohibited, new NoRouteError('x')], 'x'),
      503,
    ],
    ['anything else', new Error('something'), 503],
    ['an endpoint that does not answer', new EndpointError('ETIMEDOUT', 'no answer'), 504],
    ['a deadline', new DialTimeoutError('open', 'too late'), 504],
  ];
  for (const [what, error, status] of statuses) {
    it(`answers ${status} for ${what}, with one line of text`, async () => {
      stage.recorder.dial = () => Promise.reject(error);
      const answer = await answerTo(await proxy(), request());
      const [head = '', body] = answer.split('\r\n\r\n');
      expect(head.split('\r\n')[0]).to.equal(`HTTP/1.1 ${status} ${error.message}`);
      expect(body).to.equal(`${error.message}\n`);
    });
  }

  it('does not let the text of an error forge a head', async () => {
    stage.recorder.dial = () => Promise.reject(new Error('a\r\nSet-Cookie: b\r\n\r\n<script>\u202e é'));
    const answer = await answerTo(await proxy(), request());
    expect(answer).not.to.match(/^Set-Cookie/m);
    expect(answer.split('\r\n')[0]).to.match(/^HTTP\/1\.1 503 [\x20-\x7e]+$/);
    expect(answer).to.include('Content-Type: text/plain').and.to.include('nosniff');
  });

  it('answers 400 to a CONNECT without host or port, and to a host that is none', async () => {
    const listener = await proxy();
    for (const to of [
      'localhost',
      'localhost:',
      ':80',
      '/path',
      'user@host:80',
      '[::1:80',
      'a_%:80',
      'host:0',
    ]) {
      expect(await answerTo(listener, request(to))).to.match(/^HTTP\/1\.1 400 /);
    }
    expect(stage.ssh.totalChannels).to.equal(0);
  });

  const others: Record<string, string> = {
    'GET in absolute form': 'GET http://10.0.0.1/ HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n',
    'GET as to a web server': 'GET / HTTP/1.1\r\nHost: rebound.example\r\n\r\n',
    'POST with a body': 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody',
    'POST that asks whether it may go on':
      'POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n',
    'a WebSocket': 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  };
  for (const [what, text] of Object.entries(others)) {
    it(`answers 405 to ${what}, and takes no CONNECT behind it`, async () => {
      const answer = await answerTo(await proxy(), text + request());
      expect(answer).to.match(/^HTTP\/1\.1 405 Method Not Allowed\r\n/);
      expect(answer).to.include('Allow: CONNECT').and.to.include('CONNECT');
      expect(answer.match(/^HTTP\/1\.1 /gm)).to.have.length(1);
      expect(stage.recorder.options).to.have.length(0);
    });
  }

  it('answers HEAD without a body', async () => {
    const answer = await answerTo(await proxy(), 'HEAD / HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(answer)
      .to.match(/^HTTP\/1\.1 405 /)
      .and.to.match(/\r\n\r\n$/);
  });

  it('answers rubbish with 400, and dials nothing', async () => {
    const listener = await proxy();
    for (const text of ['rubbish\r\n\r\n', '\x05\x01\x00', '\x16\x03\x01\x02\x00\x01', 'CONNECT\r\n\r\n']) {
      expect(await answerTo(listener, text)).to.match(/^HTTP\/1\.1 400 Bad Request\r\n/);
    }
    expect(stage.recorder.options).to.have.length(0);
  });

  it('answers a head that is too large with 431', async () => {
    const listener = await proxy({ maxHeadBytes: 2_048 });
    const answer = await answerTo(listener, request(undefined, `X-Large: ${'x'.repeat(4_096)}`));
    expect(answer).to.match(/^HTTP\/1\.1 431 /);
    expect(stage.recorder.options).to.have.length(0);
  });

  it('answers a head that is too large with 431, however little stands in each of its fields', async () => {
    const listener = await proxy({ maxHeadBytes: 2_048 });
    const fields = Array.from({ length: 400 }, () => 'a: b');
    const head = request(undefined, ...fields);
    expect(await answerTo(listener, head)).to.match(/^HTTP\/1\.1 431 /);
    expect(stage.recorder.options).to.have.length(0);
    // What follows the head does not count.
    const client = send(listener, `${request()}${'x'.repeat(4_096)}`);
    await until('the stream', () => stage.recorder.sockets.length === 1);
    client.destroy();
  });

  describe('with a client that goes on sending behind a request that is refused', () => {
    const GET = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
    const upload = (bytes: number): string =>
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n${'x'.repeat(bytes)}`;
    let clock: SinonFakeTimers;
    let requests: number;
    const count = (): void => void (requests += 1);
    beforeEach(() => {
      clock = sinon.useFakeTimers({
        toFake: ['setTimeout', 'clearTimeout'],
        shouldClearNativeTimers: true,
      });
      requests = 0;
      subscribe('http.server.request.start', count);
    });
    afterEach(() => {
      clock.restore();
      unsubscribe('http.server.request.start', count);
    });

    const behind: Record<string, string> = {
      'more requests': GET.repeat(400_000),
      'requests with bodies': GET + upload(100_000).repeat(100),
      'its body': upload(10_000_000),
      'a CONNECT and what it is to carry': GET + request('10.0.0.1:1') + 'x'.repeat(10_000_000),
      'rubbish behind it': `${GET}\0${'x'.repeat(10_000_000)}`,
    };
    for (const [what, text] of Object.entries(behind)) {
      it(`gives it the whole answer when it reads at last, and keeps nothing of ${what}`, async () => {
        const listener = await proxy();
        const client = connect(stage, listener);
        // More than the kernel holds: what is not read does not leave.
        await new Promise<void>((resolve, reject) => {
          client.write(text, (error) => (error ? reject(error) : resolve()));
        });
        // No more than what came in one piece with the first.
        expect(requests).to.be.within(1, 10_000);
        const answer = await readAll(client);
        expect(answer.toString())
          .to.match(/^HTTP\/1\.1 405 /)
          .and.to.match(/client\.\n$/);
        client.end();
        await until('no connection', () => listener.connections === 0);
        expect(stage.recorder.options).to.have.length(0);
      });
    }

    it('is done with it after a second, also when it never closes', async () => {
      const listener = await proxy();
      const client = send(listener, GET);
      await readAll(client);
      client.write(GET);
      expect(listener.connections).to.equal(1);
      await clock.tickAsync(1_000);
      await until('no connection', () => listener.connections === 0);
    });
  });

  it('resets a client that ends its side before it has said where to', async () => {
    const listener = await proxy();
    for (const text of ['', request().slice(0, -2)]) {
      const client = connect(stage, listener);
      client.end(text);
      expect(await fate(client)).to.equal('ECONNRESET');
    }
    expect(stage.recorder.options).to.have.length(0);
  });

  it('answers a head that takes too long with 408', async () => {
    const listener = await proxy({ requestTimeoutMs: 20 });
    expect(await answerTo(listener, request().slice(0, -2))).to.match(/^HTTP\/1\.1 408 /);
    expect(stage.recorder.options).to.have.length(0);
  });

  it('asks for a login, whatever comes in its place', async () => {
    const listener = await proxy(LOGIN);
    const basic = (text: string): string =>
      `Proxy-Authorization: Basic ${Buffer.from(text).toString('base64')}`;
    const wrong = [
      basic('operator'),
      basic('operator:'),
      basic(':'),
      basic(''),
      'Proxy-Authorization: Bearer x',
    ];
    for (const fields of [[], ...wrong.map((field) => [field])]) {
      const answer = await answerTo(listener, request(undefined, ...fields));
      expect(answer)
        .to.match(/^HTTP\/1\.1 407 /)
        .and.to.include('Proxy-Authenticate: Basic realm=');
    }
    expect(stage.recorder.options).to.have.length(0);
    const right = basic(`${LOGIN.username}:${LOGIN.password}`);
    await read(send(listener, request(undefined, right)));
    expect(stage.recorder.sockets).to.have.length(1);
  });

  it('gives the dial up when its client goes away', async () => {
    stage.ssh.faults.neverAnswer();
    const listener = await proxy();
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const client = send(listener, request());
      await until('the dial', () => stage.recorder.options.at(-1)?.signal?.aborted === false);
      client[leave]();
      await until('no connection', () => listener.connections === 0);
      expect(stage.recorder.options.at(-1)?.signal?.aborted).to.equal(true);
    }
    expect(stage.ssh.channels).to.equal(0);
  });

  it('resets a client whose node is lost', async () => {
    const client = send(await proxy(), request());
    await read(client, 'HTTP/1.1 200 Connection established\r\n\r\n'.length);
    await roundTrip(client);
    const ended = fate(client);
    stage.ssh.cut('fin');
    expect(await ended).to.equal('ECONNRESET');
  });
});
