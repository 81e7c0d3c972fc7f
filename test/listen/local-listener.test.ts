import { expect } from 'chai';
import { once } from 'node:events';
import { httpConnect, listen, socks5, type LocalListener } from '../../lib/listen/index.js';
import { Stage } from '../http/stage.js';
import { expectNoLeaks } from '../support/leaks.js';
import { readAll, rejection, roundTrip, turns, uncaughtDuring, until } from '../support/dialer.js';
import { patternSha256, patternStream } from '../support/pattern.js';
import { createHash } from 'node:crypto';
import { connect, fate, use } from './clients.js';

const HOST = '127.0.0.1';
const MIB = 1024 * 1024;

describe('a local listener', () => {
  let stage: Stage;
  let port: number;
  beforeEach(async () => {
    stage = await Stage.start();
    ({ port } = await stage.endpoint());
  });
  afterEach(() => stage.end());

  it('listens on 127.0.0.1 and a free port unless told otherwise, also when told localhost', async () => {
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port }));
    expect(listener.address.host).to.equal(HOST);
    expect(listener.address.port).to.be.at.least(1);
    const named = await use(stage, socks5(stage.recorder, { at: { host: 'localhost' } }));
    expect(named.address.host).to.equal(HOST);
    expect(named.url).to.equal(`socks5h://127.0.0.1:${named.address.port}`);
  });

  it('listens on the address it was told, and gives a URL for it', async () => {
    const at = { host: '[::1]' };
    const listener = await use(stage, httpConnect(stage.recorder, { at }));
    expect(listener.url).to.equal(`http://[::1]:${listener.address.port}`);
  });

  it('says when its port is taken', async () => {
    const { address } = await use(stage, listen(stage.recorder, { host: HOST, port }));
    const error = await rejection(listen(stage.recorder, { host: HOST, port, at: { port: address.port } }));
    expect(error).to.include({ code: 'EADDRINUSE' });
  });

  it('waits for its streams when it is closed, and takes no new client meanwhile', async () => {
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port }));
    const client = connect(stage, listener);
    await roundTrip(client);
    let closed = false;
    const closing = listener.close().then(() => (closed = true));
    expect(await fate(connect(stage, listener))).to.equal('ECONNREFUSED');
    await roundTrip(client, 'still there');
    expect(closed).to.equal(false);
    client.end();
    await closing;
    expect(listener.connections).to.equal(0);
    await listener.close();
  });

  it('waits for a dial that is under way when it is closed', async () => {
    let answer = (): void => undefined;
    stage.ssh.faults.confirmLate(new Promise<void>((resolve) => (answer = resolve)));
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port }));
    const client = connect(stage, listener);
    await stage.ssh.until((node) => node.pendingOpens === 1);
    const closing = listener.close();
    answer();
    await roundTrip(client);
    client.end();
    await closing;
  });

  it('does not wait for clients that have not said where to', async () => {
    const listener = await use(stage, socks5(stage.recorder));
    const client = connect(stage, listener);
    await until('the client', () => listener.connections === 1);
    const ended = fate(client);
    await listener.close();
    expect(await ended).to.equal('ECONNRESET');
  });

  it('waits no longer than graceMs', async () => {
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port, graceMs: 1 }));
    const client = connect(stage, listener);
    await roundTrip(client);
    const ended = fate(client);
    await listener.close();
    expect(await ended).to.equal('ECONNRESET');
  });

  it('resets every client when it is destroyed, also in the middle of close()', async () => {
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port }));
    const clients = [connect(stage, listener), connect(stage, listener)];
    await Promise.all(clients.map((client) => roundTrip(client)));
    const fates = clients.map(fate);
    const closing = listener.close();
    listener.destroy();
    listener.destroy();
    expect(await Promise.all(fates)).to.deep.equal(['ECONNRESET', 'ECONNRESET']);
    await closing;
    await stage.ssh.until((node) => node.channels === 0);
    await listener.close();
  });

  it('gives dials up when it is destroyed', async () => {
    stage.ssh.faults.neverAnswer();
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port }));
    const client = connect(stage, listener);
    await stage.ssh.until((node) => node.pendingOpens === 1);
    const ended = fate(client);
    listener.destroy();
    expect(await ended).to.equal('ECONNRESET');
    await listener.close();
    expect(stage.recorder.options[0]?.signal?.aborted).to.equal(true);
  });

  it('resets a client too many, tells so once, and takes another when one has gone', async () => {
    const errors: Error[] = [];
    const onError = (error: Error) => void errors.push(error);
    const listener = await use(
      stage,
      listen(stage.recorder, { host: HOST, port, maxConnections: 2, onError }),
    );
    const [first, second] = [connect(stage, listener), connect(stage, listener)];
    await Promise.all([roundTrip(first), roundTrip(second)]);
    expect(await fate(connect(stage, listener))).to.equal('ECONNRESET');
    expect(await fate(connect(stage, listener))).to.equal('ECONNRESET');
    await until('the error', () => errors.length > 0);
    expect(errors.map(({ message }) => message)).to.have.length(1);
    expect(errors[0]?.message).to.include('maxConnections');
    first.destroy();
    await until('a free place', () => listener.connections === 1);
    await roundTrip(connect(stage, listener));
    expect(stage.recorder.sockets).to.have.length(3);
  });

  it('survives a dialer that throws, that comes too late, and that gives what is destroyed already', async () => {
    const dial = stage.recorder.dial.bind(stage.recorder);
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port }));
    stage.recorder.dial = () => {
      throw new TypeError('not today');
    };
    expect(await fate(connect(stage, listener))).to.equal('ECONNRESET');

    stage.recorder.dial = async (...args) => {
      const socket = await dial(...args);
      const closed = once(socket, 'close');
      socket.destroy();
      await closed;
      return socket;
    };
    expect(await fate(connect(stage, listener))).to.equal('ECONNRESET');

    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    stage.recorder.dial = async (host, to) => {
      await answered;
      return dial(host, to);
    };
    const client = connect(stage, listener);
    await until('the client', () => listener.connections === 1);
    client.resetAndDestroy();
    await turns(5);
    answer();
    await until('no connection', () => listener.connections === 0);
    await stage.ssh.until((node) => node.channels === 0);
  });

  it('is not shaken by an onError that throws', async () => {
    stage.ssh.faults.refuse({ reason: 2 });
    const own = new Error('of the caller');
    const onError = (): never => {
      throw own;
    };
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port, onError }));
    const uncaught = await uncaughtDuring(async () => {
      expect(await fate(connect(stage, listener))).to.equal('ECONNRESET');
      await until('no connection', () => listener.connections === 0);
    });
    expect(uncaught).to.deep.equal([own]);
  });

  it('leaves no socket, server or timer behind', async () => {
    await roundTrip(await stage.recorder.dial(HOST, port)); // the connection to the node stays
    await expectNoLeaks(async () => {
      const listeners: LocalListener[] = [
        await listen(stage.recorder, { host: HOST, port }),
        await socks5(stage.recorder),
        await httpConnect(stage.recorder),
      ];
      for (const listener of listeners) {
        const client = connect(stage, listener);
        await until('the client', () => listener.connections === 1);
        client.end();
        await fate(client);
        client.destroy();
        await listener.close();
      }
    });
  });
});

describe('a local listener under load', () => {
  let stage: Stage;
  beforeEach(async () => (stage = await Stage.start()));
  afterEach(() => stage.end());

  it('serves 200 clients at once, each with its own bytes', async () => {
    const { port } = await stage.endpoint();
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port }));
    const answers = Array.from({ length: 200 }, async (_, at) => {
      const client = connect(stage, listener);
      client.end(`client ${at}`);
      return (await readAll(client)).toString();
    });
    expect(await Promise.all(answers)).to.deep.equal(Array.from(answers, (_, at) => `client ${at}`));
    await until('no connection', () => listener.connections === 0);
    await stage.ssh.until((node) => node.channels === 0);
  });

  it('resets 200 clients when their node is lost', async () => {
    const { port } = await stage.endpoint();
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port }));
    const clients = Array.from({ length: 200 }, () => connect(stage, listener));
    await Promise.all(clients.map((client) => roundTrip(client)));
    const fates = clients.map(fate);
    stage.ssh.cut('rst');
    expect(new Set(await Promise.all(fates))).to.deep.equal(new Set(['ECONNRESET']));
    await until('no connection', () => listener.connections === 0);
  });

  it('holds little of 64 MiB for a client that does not read, and gives all of it to one that does at last', async () => {
    const bytes = 64 * MIB;
    const endpoint = await stage.endpoint((socket) => void patternStream(bytes).pipe(socket));
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port: endpoint.port }));
    const client = connect(stage, listener);
    await once(client, 'readable'); // and no more is read
    const sibling = connect(
      stage,
      await use(stage, listen(stage.recorder, { host: HOST, port: (await stage.endpoint()).port })),
    );
    const slow = stage.recorder.sockets[0];
    for (let quiet = 0, before = -1; quiet < 50; quiet += 1) {
      await roundTrip(sibling);
      if (slow?.bytesRead !== before) quiet = 0;
      before = slow?.bytesRead ?? 0;
    }
    // Kernel buffers of loopback take some MB more.
    expect(slow?.bytesRead).to.be.within(MIB, 16 * MIB);
    const hash = createHash('sha256');
    for await (const chunk of client) hash.update(chunk as Buffer);
    expect(hash.digest('hex')).to.equal(patternSha256(bytes));
  });

  it('holds little of an upload that its endpoint does not read', async () => {
    const endpoint = await stage.endpoint((socket) => void socket.pause());
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port: endpoint.port }));
    const accepted = endpoint.next();
    const client = connect(stage, listener);
    const peer = await accepted;
    patternStream(64 * MIB).pipe(client);
    const sibling = connect(
      stage,
      await use(stage, listen(stage.recorder, { host: HOST, port: (await stage.endpoint()).port })),
    );
    for (let quiet = 0, before = -1; quiet < 50; quiet += 1) {
      await roundTrip(sibling);
      if (client.bytesWritten !== before) quiet = 0;
      before = client.bytesWritten;
    }
    expect(client.bytesWritten).to.be.below(32 * MIB);
    const hash = createHash('sha256');
    peer.on('data', (chunk: Buffer) => hash.update(chunk)).resume();
    await once(peer, 'end');
    expect(hash.digest('hex')).to.equal(patternSha256(64 * MIB));
  });
});
