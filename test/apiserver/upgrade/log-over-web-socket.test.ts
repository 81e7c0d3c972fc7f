import { expect } from 'chai';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import sinon from 'sinon';
import { WebSocket } from 'ws';
import { StatusError } from '../../../lib/apiserver/index.js';
import { serveLogOverWebSocket } from '../../../lib/apiserver/upgrade/log-over-web-socket.js';
import { sendStatusOnSocket } from '../../../lib/apiserver/upgrade/send-status.js';
import { until } from '../../support/dialer.js';
import { Proxy, statusIn, upgradeRequest } from './stage.js';

interface Message {
  readonly data: string;
  readonly isBinary: boolean;
}

describe('apiserver: a log over WebSocket', () => {
  let proxy: Proxy;
  beforeEach(async () => {
    proxy = await Proxy.start();
  });
  afterEach(() => proxy.end());

  function serve(log: Readable): void {
    proxy.serve = async (upgrade) => {
      try {
        await serveLogOverWebSocket(upgrade, log);
      } catch (error) {
        proxy.ended.push(error as Error);
        if (error instanceof StatusError) sendStatusOnSocket(upgrade.socket, error);
      }
    };
  }

  function open(protocols: string | string[] = []): {
    ws: WebSocket;
    messages: Message[];
    end: Promise<[number, Buffer]>;
  } {
    const ws = new WebSocket(proxy.url, protocols);
    proxy.onEnd(() => ws.terminate());
    ws.on('error', () => undefined);
    const messages: Message[] = [];
    ws.on('message', (data: Buffer, isBinary) => messages.push({ data: data.toString(), isBinary }));
    return {
      ws,
      messages,
      end: new Promise((resolve) => ws.once('close', (code, reason) => resolve([code, reason]))),
    };
  }

  const line = Buffer.from('container is alive\n');
  const forms: [string[], string, boolean][] = [
    [['binary.k8s.io'], line.toString(), true],
    [[], line.toString(), true],
    [['v9.example', 'base64.binary.k8s.io', 'binary.k8s.io'], line.toString('base64'), false],
  ];
  for (const [protocols, data, isBinary] of forms) {
    it(`AC-36 sends it to who offers ${protocols.join(', ') || 'nothing'}, behind an empty message`, async () => {
      serve(Readable.from([line]));
      const { ws, messages, end } = open(protocols);
      expect((await end)[0]).to.equal(1000);
      expect(messages).to.deep.equal([
        { data: '', isBinary: true },
        { data, isBinary },
      ]);
      expect(ws.protocol).to.equal(protocols.find((name) => name.endsWith('binary.k8s.io')) ?? '');
      expect(await proxy.over()).to.equal(undefined);
    });
  }

  it('is over for a client that has gone before it is accepted, and leaves the log', async () => {
    const log = Readable.from([line]);
    proxy.serve = async (upgrade) => {
      upgrade.socket.destroy();
      await serveLogOverWebSocket(upgrade, log);
      proxy.ended.push(undefined);
    };
    open();
    await until('the end', () => proxy.ended.length > 0);
    expect(log.destroyed).to.equal(true);
  });

  it('tells of a log that fails, and does not let it look like its end', async () => {
    const log = new PassThrough();
    serve(log);
    const { messages, end } = open('binary.k8s.io');
    log.write('first\n');
    await until('a line', () => messages.length === 2);
    log.destroy(new Error(`the kubelet \x1b[31m${'ü'.repeat(200)}`));
    const [code, reason] = await end;
    expect(code).to.equal(1011);
    expect(reason.toString()).to.match(/^the kubelet {2}\[31mü+$/);
  });

  it('has the kernel find out whether the machine of a client that waits has gone', async () => {
    serve(Readable.from([line]));
    const serveIt = proxy.serve;
    let keepAlive: sinon.SinonSpy | undefined;
    proxy.serve = (upgrade) => {
      keepAlive = sinon.spy(upgrade.request.socket, 'setKeepAlive');
      return serveIt(upgrade);
    };
    await open().end;
    expect(keepAlive?.args).to.deep.equal([[true, 30_000]]);
  });

  it('destroys the log of a client that goes, or that says too much', async () => {
    for (const go of [
      (ws: WebSocket) => ws.terminate(),
      (ws: WebSocket) => ws.close(),
      (ws: WebSocket) => ws.send(Buffer.alloc(128 * 1024)),
    ]) {
      const log = new PassThrough();
      serve(log);
      const { ws } = open('binary.k8s.io');
      await once(ws, 'open');
      go(ws);
      await until('its end', () => log.closed);
      expect(await proxy.over()).to.equal(undefined);
    }
  });

  it('reads no more of the log than the client takes', async () => {
    let taken = 0;
    const log = new Readable({
      read(size) {
        taken += size;
        this.push(Buffer.alloc(size));
      },
    });
    serve(log);
    const { ws } = open('binary.k8s.io');
    await once(ws, 'open');
    ws.pause();
    let before = -1;
    while (before !== taken) {
      before = taken;
      for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(taken).to.be.below(64 * 1024 * 1024);
    ws.terminate();
    await proxy.over();
  });

  it('refuses subprotocols of which it knows none with 403, and shows no token', async () => {
    const log = new PassThrough();
    serve(log);
    const { ws } = open(['v4.channel.k8s.io', 'base64url.bearer.authorization.k8s.io.c2VjcmV0']);
    const [, response] = (await once(ws, 'unexpected-response')) as [unknown, IncomingMessage];
    const body = await text(response);
    expect(response.statusCode).to.equal(403);
    expect(body).to.include('requested protocol(s) are not supported').and.not.include('c2VjcmV0');
    expect(log.destroyed).to.equal(true);
  });

  it('refuses what is no WebSocket with 400', async () => {
    for (const request of [
      upgradeRequest(),
      upgradeRequest('Sec-WebSocket-Version: 7', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='),
      upgradeRequest().replace('websocket', 'SPDY/3.1'),
    ]) {
      serve(new PassThrough());
      expect(statusIn(await proxy.answer(request))).to.include({ code: 400, reason: 'BadRequest' });
    }
  });
});
