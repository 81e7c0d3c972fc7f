import { expect } from 'chai';
import { once } from 'node:events';
import http from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import tls from 'node:tls';
import { WebSocket } from 'ws';
import { SERVER_OPTIONS } from '../../lib/apiserver/index.js';
import { read, until } from '../support/dialer.js';
import { ClusterStage, POD_ADDRESS } from './cluster-stage.js';

/** Resolves when it is closed, by whatever. */
const closed = (socket: Socket): Promise<unknown> =>
  new Promise((resolve) => socket.resume().once('close', resolve));

describe('apiserverProxy withstands', () => {
  let stage: ClusterStage;

  beforeEach(async () => {
    stage = await ClusterStage.start();
  });
  afterEach(() => stage.end());

  describe('a client that takes its time', () => {
    const HEADERS_TIMEOUT_MS = 50;
    let port: number;

    beforeEach(async () => {
      // Only shorter: that there is a limit to heads, and none to bodies, is what the proxy gives a server.
      const limits = { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 10 };
      const server = http.createServer({ ...SERVER_OPTIONS, ...limits }, stage.proxy.request);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      ({ port } = server.address() as AddressInfo);
      stage.onEnd(() => {
        server.close();
        server.closeAllConnections();
      });
      await stage.pod(POD_ADDRESS, 8080, (request, response) => {
        void text(request).then((body) => response.end(`${request.method} ${body}`));
      });
    });

    const client = async (): Promise<Socket> => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      stage.onEnd(() => socket.destroy());
      await once(socket, 'connect');
      return socket;
    };
    /** Sends a character now and then, until it is told to stop or is cut off. */
    const trickle = (socket: Socket, what: string): (() => void) => {
      const timer = setInterval(() => socket.write(what), 5);
      const stop = (): void => clearInterval(timer);
      socket.once('close', stop);
      return stop;
    };
    it('with its head, which is not waited for', async () => {
      const slow = await client();
      slow.write('GET / HTTP/1.1\r\nX: ');
      trickle(slow, 'x');
      expect((await read(slow, 12)).toString()).to.contain('HTTP/1.1 408');
      await closed(slow);
      expect(stage.proxy.underWay).to.equal(0);
    });

    it('before its head, as do many: they are cut off, and others are served meanwhile', async () => {
      const idle = await Promise.all(Array.from({ length: 100 }, client));
      const gone = idle.map(closed);
      const socket = await client();
      const { authorization = '' } = stage.as('admin');
      socket.write(`GET /version HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n\r\n`);
      expect((await read(socket, 12)).toString()).to.contain('HTTP/1.1 200');
      await Promise.all(gone);
    });

    it('with its body, which may take longer than any head', async () => {
      const slow = await client();
      const { authorization = '' } = stage.as('admin');
      const path = '/api/v1/namespaces/shop/pods/cart:8080/proxy/';
      slow.write(
        `PUT ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n`,
      );
      const answer = text(slow);
      const stop = trickle(slow, '1\r\nx\r\n');
      // What is cut off meanwhile shows that the limit has passed.
      for (let round = 0; round < 3; round += 1) await closed(await client());
      expect(stage.proxy.underWay).to.equal(1);
      stop();
      slow.write('0\r\n\r\n');
      expect(await answer).to.match(/^HTTP\/1\.1 200 OK\r\n[^]*PUT x{10,}/);
    });
  });

  describe('a client that does not wait for its answers:', () => {
    let heard: number;

    beforeEach(async () => {
      heard = 0;
      await stage.pod(POD_ADDRESS, 8080, () => (heard += 1));
    });

    const line = (method: string, path: string, ...fields: string[]): string =>
      [`${method} ${path} HTTP/1.1`, 'Host: x', ...fields, '', ''].join('\r\n');
    const asked = (): string =>
      line(
        'GET',
        '/api/v1/namespaces/shop/pods/cart:8080/proxy/',
        `Authorization: ${stage.as('admin').authorization ?? ''}`,
      );
    const upgrade = (): string => line('GET', '/version', 'Connection: Upgrade', 'Upgrade: websocket');
    const client = (): tls.TLSSocket => {
      const { hostname: host, port } = new URL(stage.url);
      const socket = tls.connect({ host, port: Number(port), ca: stage.apiServer.certificateAuthority });
      socket.on('error', () => undefined);
      stage.onEnd(() => socket.destroy());
      return socket;
    };
    const isOver = (): boolean => stage.proxy.underWay === 0;

    it('as many requests as it likes do not pile up', async () => {
      const socket = client();
      socket.write(asked().repeat(1000));
      await closed(socket);
      await until('nothing is left', isOver);
      expect(heard).to.be.at.most(1);
    });

    it('a few wait for their turn', async () => {
      const socket = client();
      socket.write(asked().repeat(10));
      await until('the first is under way', () => heard === 1);
      expect(stage.proxy.underWay).to.equal(10);
      socket.destroy();
      await until('nothing is left', isOver);
    });

    for (const [what, last] of [
      ['an upgrade', upgrade],
      ['CONNECT', () => line('CONNECT', 'x:1')],
    ] as const)
      it(`${what} behind others, which Node forgets then, ends them all`, async () => {
        const socket = client();
        socket.write(asked() + asked() + last());
        await closed(socket);
        await until('nothing is left', isOver);
        await stage.proxy.close();
      });

    it('an upgrade behind an answer that has ended is served', async () => {
      const socket = client();
      socket.write(line('GET', '/version'));
      expect((await read(socket, 12)).toString()).to.contain('HTTP/1.1 ');
      socket.write(upgrade());
      expect(await text(socket)).to.match(/\r\nConnection: close\r\n/);
    });
  });

  describe('WebSocket frames out of order:', () => {
    /** A frame as a client sends it (RFC 6455 §5.2), unless it is told otherwise. */
    const frame = (first: number, payload: Buffer | string, isMasked = true): Buffer => {
      const bytes = Buffer.from(payload);
      const length = bytes.length < 126 ? [bytes.length] : [126, bytes.length >> 8, bytes.length & 0xff];
      length[0] = (length[0] ?? 0) | (isMasked ? 0x80 : 0);
      return Buffer.concat([Buffer.from([first, ...length]), Buffer.alloc(isMasked ? 4 : 0), bytes]);
    };
    const [CONTINUATION, BINARY, CLOSE, PING, FIN] = [0, 2, 8, 9, 0x80];
    const attacks: Record<string, readonly Buffer[]> = {
      'a continuation of nothing': [frame(FIN | CONTINUATION, '\0x')],
      'a message within a message': [frame(BINARY, '\0x'), frame(FIN | BINARY, '\0y')],
      'a ping in parts': [frame(PING, 'x')],
      'a ping that is too long': [frame(FIN | PING, 'x'.repeat(126))],
      'a frame without a mask': [frame(FIN | BINARY, '\0x', false)],
      'a bit that is reserved': [frame(FIN | 0x40 | BINARY, '\0x')],
      'a kind that is reserved': [frame(FIN | 3, '\0x')],
      'a close with half a code': [frame(FIN | CLOSE, 'x')],
      'a length beyond all bounds': [Buffer.from([FIN | BINARY, 0xff, 0x7f, ...Buffer.alloc(11, 0xff)])],
      'a length that is negative': [Buffer.from([FIN | BINARY, 0xff, 0xff, ...Buffer.alloc(11, 0xff)])],
      'bytes behind a close': [frame(FIN | CLOSE, Buffer.from([3, 232])), Buffer.alloc(100_000, 0xff)],
    };
    const streams = {
      'an exec that is translated': ['exec?command=sleep&command=1000&stdin=1&stdout=1', 'v5.channel.k8s.io'],
      'a port-forward in a tunnel': ['portforward', 'SPDY/3.1+portforward.k8s.io'],
      'a log that is followed': ['log?follow=true', 'binary.k8s.io'],
    } as const;

    const isOver = (): boolean =>
      stage.proxy.underWay === 0 && Object.values(stage.kubelet.open).every((count) => count === 0);

    for (const [name, [rest, protocol]] of Object.entries(streams))
      it(`${name} is ended by each, and nothing is left`, async () => {
        stage.kubelet.container('shop', 'cart', 'app').print('hello');
        for (const [attack, frames] of Object.entries(attacks)) {
          const ca = stage.apiServer.certificateAuthority;
          const { hostname: host, port } = new URL(stage.url);
          const socket = tls.connect({ host, port: Number(port), ca });
          socket.on('error', () => undefined);
          const { authorization = '' } = stage.as('admin');
          const head = [
            `GET /api/v1/namespaces/shop/pods/cart/${rest} HTTP/1.1`,
            'Host: x',
            `Authorization: ${authorization}`,
            'Connection: Upgrade',
            'Upgrade: websocket',
            'Sec-WebSocket-Version: 13',
            `Sec-WebSocket-Key: ${Buffer.alloc(16).toString('base64')}`,
            `Sec-WebSocket-Protocol: ${protocol}`,
          ];
          socket.write(`${head.join('\r\n')}\r\n\r\n`);
          expect((await read(socket, 12)).toString(), attack).to.contain('HTTP/1.1 101');
          const closed = once(socket.resume(), 'close');
          for (const each of frames) socket.write(each);
          await closed;
          await until(`nothing is left: ${attack}`, isOver);
        }
      });

    it('what is sent to a stdin that was ended, or to no channel, goes nowhere', async () => {
      const path = '/api/v1/namespaces/shop/pods/cart/exec?command=cat&stdin=1&stdout=1';
      const socket = new WebSocket(`${stage.url.replace('https', 'wss')}${path}`, 'v5.channel.k8s.io', {
        headers: stage.as('admin'),
        ca: stage.apiServer.certificateAuthority,
      });
      let out = '';
      socket.on('message', (data: Buffer) => {
        if (data[0] === 1) out += data.toString('utf8', 1);
      });
      await once(socket, 'open');
      for (const bytes of ['\x00in time', '\x07nowhere', '\x01nowhere', '', '\xff\x09', '\xff', '\xff\x00'])
        socket.send(Buffer.from(bytes, 'latin1'));
      for (const bytes of ['\x00too late', '\xff\x00', '\x04{}']) socket.send(Buffer.from(bytes, 'latin1'));
      await once(socket, 'close');
      expect(out).to.equal('in time');
      await until('nothing is left', isOver);
    });
  });
});
