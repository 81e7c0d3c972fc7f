import { expect } from 'chai';
import { once } from 'node:events';
import http from 'node:http';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Backend } from '../../../lib/apiserver/backend.js';
import { openLog } from '../../../lib/apiserver/pods/open-log.js';

/** What a kubelet does with a request on a connection, the first of which is number 1. */
type Behaviour = (socket: Socket, connection: number) => void;

const answering =
  (status: string, body = ''): Behaviour =>
  (socket) =>
    void socket.write(`HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);

async function rejectionOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('it was not rejected');
}

describe('openLog', () => {
  let end: (() => Promise<void>)[] = [];
  let connections = 0;

  beforeEach(() => {
    connections = 0;
  });

  afterEach(async () => {
    await Promise.all(end.map((each) => each()));
    end = [];
  });

  async function kubelet(behave: Behaviour): Promise<Backend> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      const connection = (connections += 1);
      sockets.add(socket.on('error', () => undefined));
      socket.on('data', () => behave(socket, connection));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const agent = new http.Agent({ keepAlive: true });
    end.push(async () => {
      agent.destroy();
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    });
    const host = '127.0.0.1';
    const connect = () => Promise.reject(new Error('not needed'));
    return { scheme: 'http', host, port, authority: `${host}:${port}`, agent, connect };
  }

  const open = (backend: Backend, signal = new AbortController().signal) => openLog(backend, '/log', signal);

  it('is the answer, when that has begun', async () => {
    const log = await open(await kubelet(answering('200 OK', 'first\n')));
    expect(await text(log)).to.equal('first\n');
  });

  it('does not wait for the answer of a kubelet that switches to another protocol', async () => {
    const switching = (socket: Socket): void =>
      void socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n');
    const error = await rejectionOf(open(await kubelet(switching)));
    expect(error).to.include({ code: 503 });
    expect(error.message).to.include('switched to another protocol');
  });

  it('follows no redirect', async () => {
    for (const status of ['300 Multiple Choices', '302 Found', '399 Odd'])
      expect(await rejectionOf(open(await kubelet(answering(status))))).to.include({ code: 500 });
  });

  it('tells no more than so much of a refusal', async () => {
    const endless: Behaviour = (socket) => {
      socket.write('HTTP/1.1 400 Bad Request\r\n\r\n');
      const more = (): void => {
        while (socket.writable && socket.write('x'.repeat(10_000)));
      };
      socket.on('drain', more);
      more();
    };
    const error = await rejectionOf(open(await kubelet(endless)));
    expect(error).to.include({ code: 400 });
    expect(error.message).to.have.length(50_000);
  });

  it('takes another connection when one that was kept is dead, and tells of one that is new', async () => {
    const dying: Behaviour = (socket, connection) => {
      if (connection === 2 || socket.bytesWritten === 0) answering('200 OK', 'log')(socket, connection);
      else socket.destroy();
    };
    const backend = await kubelet(dying);
    expect(await text(await open(backend))).to.equal('log');
    expect(await text(await open(backend))).to.equal('log');
    expect(connections).to.equal(2);
    const dead = await kubelet((socket) => void socket.destroy());
    expect(await rejectionOf(open(dead))).to.include({ code: 503 });
    expect(connections).to.equal(3);
  });

  it('is given up by its signal, before the answer and after', async () => {
    const giveUp = new AbortController();
    const silent = open(await kubelet(() => giveUp.abort(new Error('enough'))), giveUp.signal);
    expect((await rejectionOf(silent)).message).to.equal('enough');
    const later = new AbortController();
    const beginning: Behaviour = (socket) =>
      void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst');
    const log = await open(await kubelet(beginning), later.signal);
    later.abort();
    expect(await rejectionOf(text(log))).to.be.an('error');
  });
});
