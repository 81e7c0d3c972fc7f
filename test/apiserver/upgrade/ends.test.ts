import { expect } from 'chai';
import { createHash, randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { gate, read, readAll, rejection, turn, turns, until } from '../../support/dialer.js';
import { Proxy, SWITCHING, upgradeRequest, type RawBackend } from './stage.js';

const MIB = 1024 * 1024;

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

describe('apiserver: the end of an upgrade', () => {
  let proxy: Proxy;
  beforeEach(async () => {
    proxy = await Proxy.start();
  });
  afterEach(() => proxy.end());

  /** A stream with a backend, which does this once it is open. */
  async function stream(
    then: (socket: Socket) => void = () => undefined,
  ): Promise<{ client: Socket; backend: RawBackend; peer: Socket }> {
    const backend = await proxy.toRaw((socket) =>
      socket.once('data', () => socket.write(SWITCHING, () => then(socket))),
    );
    const client = proxy.send(upgradeRequest());
    await read(client, SWITCHING.length);
    const [peer] = backend.sockets;
    if (peer === undefined) throw new Error('nothing was dialled');
    return { client, backend, peer };
  }

  it('gives a client that reads late all that the backend had said before it ended', async () => {
    const bytes = randomBytes(8 * MIB);
    const { client, peer } = await stream();
    peer.end(bytes);
    const received = readAll(client.resume());
    expect(sha256(await received)).to.equal(sha256(bytes));
    expect(await proxy.over()).to.equal(undefined);
  });

  it('gives all of it to a client that goes on talking, which would reset a connection that was closed', async () => {
    const bytes = randomBytes(MIB);
    const { serve } = proxy;
    let ours: Duplex | undefined;
    proxy.serve = (upgrade) => {
      ours = upgrade.socket;
      return serve(upgrade);
    };
    const { client, peer } = await stream();
    client.pause();
    peer.end(bytes);
    await until('all of it to have left the process', () => ours?.writableFinished === true);
    for (let count = 0; count < 50; count += 1) {
      client.write('ping');
      await turn();
    }
    expect(sha256(await readAll(client))).to.equal(sha256(bytes));
  });

  it('gives the backend all that the client had said before it ended, and then the end', async () => {
    const bytes = randomBytes(8 * MIB);
    const { client, backend, peer } = await stream();
    client.end(bytes);
    await until('the end', () => peer.readableEnded);
    expect(backend.received.endsWith(bytes.toString('latin1'))).to.equal(true);
    expect(await proxy.over()).to.equal(undefined);
  });

  it('does not stay half open when the backend has ended', async () => {
    const { client, peer } = await stream((socket) => socket.end());
    await readAll(client);
    await until('the end', () => peer.readableEnded || peer.destroyed);
    expect(await proxy.over()).to.equal(undefined);
  });

  it('resets a client whose backend was cut', async () => {
    const { client, peer } = await stream();
    const cut = rejection<NodeJS.ErrnoException>(readAll(client));
    peer.resetAndDestroy();
    expect((await cut).code).to.equal('ECONNRESET');
    expect(await proxy.over()).to.equal(undefined);
  });

  it('cuts a client with TLS whose backend was cut', async () => {
    const secure = await Proxy.start({ tls: true });
    proxy.onEnd(() => secure.end());
    const backend = await secure.toRaw((socket) => socket.once('data', () => socket.write(SWITCHING)));
    const client = secure.send(upgradeRequest());
    await read(client, SWITCHING.length);
    backend.sockets[0]?.resetAndDestroy();
    client.resume();
    await until('the end', () => client.closed);
    expect(await secure.over()).to.equal(undefined);
  });

  it('destroys the backend of a client that was killed', async () => {
    const { client, backend } = await stream();
    client.resetAndDestroy();
    await until('the end', () => backend.isGone);
    expect(await proxy.over()).to.equal(undefined);
  });

  it('notices that a client was killed whose bytes the backend does not take', async () => {
    const { client, peer } = await stream((socket) => socket.pause());
    while (client.write(Buffer.alloc(MIB)));
    await until('everything to stand still', () => client.writableNeedDrain);
    client.resetAndDestroy();
    expect(await proxy.over()).to.equal(undefined);
    peer.destroy();
  });

  it('takes no more from a backend than the client reads', async () => {
    const { client, peer } = await stream();
    client.pause();
    let sent = 0;
    const stalled = gate();
    const pump = (): void => {
      while (sent < 256 * MIB) {
        sent += MIB;
        if (!peer.write(Buffer.alloc(MIB))) return;
      }
      stalled.open();
    };
    peer.on('drain', pump);
    pump();
    let before = -1;
    // Until nothing has moved for as long as an answer of another proxy takes.
    while (before !== sent) {
      before = sent;
      await turns(200);
    }
    expect(sent).to.be.below(64 * MIB);
    client.destroy();
    expect(await proxy.over()).to.equal(undefined);
  });

  it('cuts both when the signal says so', async () => {
    const stop = new AbortController();
    proxy.options = { signal: stop.signal };
    const { client, backend } = await stream();
    const cut = rejection<NodeJS.ErrnoException>(readAll(client));
    stop.abort(new Error('shutting down'));
    expect((await cut).code).to.equal('ECONNRESET');
    expect(await proxy.over()).to.equal(undefined);
    await until('its end', () => backend.isGone);
  });

  it('leaves no listener on a signal that is for many', async () => {
    const stop = new AbortController();
    let listeners = 0;
    const { signal } = stop;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners += 1;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners -= 1;
      remove(...args);
    };
    proxy.options = { signal: stop.signal };
    const { client } = await stream((socket) => socket.end());
    await readAll(client);
    await proxy.over();
    expect(listeners).to.equal(0);
  });

  it('is over at once for a backend that says 101 and resets in one breath', async () => {
    await proxy.toRaw((socket) =>
      socket.once('data', () => socket.write(SWITCHING, () => socket.resetAndDestroy())),
    );
    await readAll(proxy.send(upgradeRequest())).catch(() => undefined);
    await proxy.over();
  });
});
