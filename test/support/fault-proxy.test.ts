import { expect } from 'chai';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import { startEcho, startSink, startSource, type Endpoint } from './endpoints.js';
import { startFaultProxy, type FaultProxy } from './fault-proxy.js';
import { expectNoLeaks } from './leaks.js';
import { patternSha256, patternStream } from './pattern.js';
import { exchange } from './raw-client.js';

function dial({ host, port }: { host: string; port: number }): Socket {
  return connect({ host, port, allowHalfOpen: true });
}

describe('the fault proxy', () => {
  let echo: Endpoint;
  let proxy: FaultProxy;

  beforeEach(async () => {
    echo = await startEcho();
    proxy = await startFaultProxy(echo);
  });

  afterEach(async () => {
    await proxy.close();
    await echo.close();
  });

  /** A connection through the proxy that has carried a byte, and its other end. */
  async function open(): Promise<{ client: Socket; server: Socket }> {
    const connection = echo.nextConnection();
    const client = dial(proxy);
    client.on('error', () => undefined);
    client.write('x');
    await once(client, 'data');
    return { client, server: await connection };
  }

  it('passes bytes and ends on, unchanged', async () => {
    await using sink = await startSink();
    await using direct = await startFaultProxy(sink);
    const socket = dial(direct);
    patternStream(3_000_000).pipe(socket);
    const answer = Buffer.concat((await socket.toArray()) as Buffer[]).toString();
    expect(answer).to.equal(patternSha256(3_000_000));
    expect(direct.up.bytes).to.equal(3_000_000);
    expect(direct.down.bytes).to.equal(64);
  });

  it('throttles a direction, all connections together, and leaves the other alone', async () => {
    await using source = await startSource(30_000);
    await using slow = await startFaultProxy(source);
    slow.down.throttle(200_000);
    const started = performance.now();
    await Promise.all([finished(dial(slow).end().resume()), finished(dial(slow).end().resume())]);
    // A lower bound, so that a loaded machine cannot fail it: 60 kB at 200 kB/s, less the last piece.
    expect(performance.now() - started).to.be.at.least(250);
    slow.down.throttle(Infinity);
    await finished(dial(slow).end().resume());
  });

  it('delays a direction without slowing it down', async () => {
    proxy.up.delay(50);
    const started = performance.now();
    expect(await exchange(dial(proxy), 'hello')).to.equal('hello');
    expect(performance.now() - started).to.be.at.least(49);
  });

  it('lets nothing pass while it is paused, and everything afterwards', async () => {
    const { client, server } = await open();
    proxy.pause();
    const { bytesRead } = server;
    client.write('more');
    client.end();
    const late = dial(proxy); // accepted, but nobody speaks
    await once(late, 'connect');
    await exchange(dial(echo), 'x');
    expect(server.bytesRead).to.equal(bytesRead);
    expect(server.readableEnded).to.be.false;
    proxy.resume();
    await finished(client.resume());
    expect(server.bytesRead).to.equal(bytesRead + 4);
    expect(await exchange(late, 'late')).to.equal('late');
  });

  it('pauses one direction alone', async () => {
    const { client, server } = await open();
    proxy.down.pause();
    client.write('up');
    await once(server, 'data');
    proxy.down.resume();
    await once(client, 'data');
    client.destroy();
  });

  it('cuts by FIN: both sides see an end', async () => {
    const { client, server } = await open();
    const ends = [once(client, 'end'), once(server, 'end')];
    proxy.cut('fin');
    await Promise.all(ends);
    client.end();
    expect(proxy.connections).to.equal(0);
  });

  it('cuts by RST: both sides see a reset', async () => {
    const { client, server } = await open();
    const errors = [once(client, 'error'), once(server, 'error')] as Promise<[NodeJS.ErrnoException]>[];
    proxy.cut('rst');
    expect((await Promise.all(errors)).map(([{ code }]) => code)).to.deep.equal(['ECONNRESET', 'ECONNRESET']);
  });

  it('cuts one side alone', async () => {
    const { client, server } = await open();
    const error = once(client, 'error');
    proxy.cut('rst', 'client');
    await error;
    await exchange(dial(echo), 'x');
    expect(server.readableEnded).to.be.false;
    expect(server.destroyed).to.be.false;
  });

  it('carries new connections after a cut', async () => {
    await open();
    proxy.cut('rst');
    expect(await exchange(dial(proxy), 'again')).to.equal('again');
  });

  it('resets the client when the server is not there', async () => {
    await echo.close();
    const client = dial(proxy);
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).to.equal('ECONNRESET');
  });

  it('leaves nothing behind when it is closed while it holds bytes back', () =>
    expectNoLeaks(async () => {
      const own = await startFaultProxy(echo);
      own.down.throttle(10);
      const client = dial(own);
      client.on('error', () => undefined);
      client.write(Buffer.alloc(1000));
      await once(client, 'data');
      const accepted = [...echo.sockets];
      await own.close();
      client.destroy();
      for (const socket of accepted) if (!socket.closed) await once(socket, 'close');
    }));
});
