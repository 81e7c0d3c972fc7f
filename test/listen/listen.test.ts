import { expect } from 'chai';
import { once } from 'node:events';
import { join } from 'node:path';
import { EndpointError, NoRouteError, type DialOptions } from '../../lib/index.js';
import { listen, type TcpPlace, type UnixPlace } from '../../lib/listen/index.js';
import { closedPort, Stage } from '../http/stage.js';
import { gate, read, readAll, roundTrip, silent, turns, until } from '../support/dialer.js';
import { connect, fate, folder, use } from './clients.js';

const HOST = '127.0.0.1';

const places: Record<string, (stage: Stage) => TcpPlace | UnixPlace | undefined> = {
  TCP: () => undefined,
  'a UNIX socket': (stage) => ({ path: join(folder(stage), 'socket') }),
};

for (const [transport, place] of Object.entries(places)) {
  describe(`listen: a client by ${transport}`, () => {
    let stage: Stage;
    let at: TcpPlace | UnixPlace | undefined;
    beforeEach(async () => {
      stage = await Stage.start();
      at = place(stage);
    });
    afterEach(() => stage.end());

    it('gets a stream of its own to the endpoint', async () => {
      const { port } = await stage.endpoint();
      const listener = await use(stage, listen(stage.recorder, { host: HOST, port, at }));
      const clients = [connect(stage, listener), connect(stage, listener)];
      await Promise.all(clients.map((client, at) => roundTrip(client, `client ${at}`)));
      expect(stage.recorder.sockets).to.have.length(2);
      expect(listener.connections).to.equal(2);
    });

    it('is answered after it has ended its side, also when it does so before the dial is through', async () => {
      const { port } = await stage.endpoint((socket) => {
        void readAll(socket).then((all) => socket.end(`got ${all.length}`));
      });
      const { opened, open } = gate();
      stage.ssh.faults.confirmLate(opened);
      const listener = await use(stage, listen(stage.recorder, { host: HOST, port, at }));
      const client = connect(stage, listener);
      client.end('question');
      await stage.ssh.until((node) => node.pendingOpens === 1);
      await turns(5);
      open();
      expect((await readAll(client)).toString()).to.equal('got 8');
      await until('no connection', () => listener.connections === 0);
    });

    it('may go on sending when the endpoint has ended its side', async () => {
      const endpoint = await stage.endpoint((socket) => void socket.end('greeting'));
      const listener = await use(stage, listen(stage.recorder, { host: HOST, port: endpoint.port, at }));
      const accepted = endpoint.next();
      const client = connect(stage, listener);
      const peer = await accepted;
      expect((await readAll(client)).toString()).to.equal('greeting');
      client.end('said after the end');
      expect((await readAll(peer)).toString()).to.equal('said after the end');
      await until('no connection', () => listener.connections === 0);
    });

    it('that goes away while its dial is under way gives it up', async () => {
      const { port } = await stage.endpoint();
      stage.ssh.faults.neverAnswer();
      const listener = await use(stage, listen(stage.recorder, { host: HOST, port, at }));
      const client = connect(stage, listener);
      await stage.ssh.until((node) => node.pendingOpens === 1);
      client.destroy();
      await until('no connection', () => listener.connections === 0);
      expect(stage.recorder.options[0]?.signal?.aborted).to.equal(true);
      expect(stage.ssh.channels).to.equal(0);
    });

    it('that goes away leaves no channel to an endpoint that talks', async () => {
      const { port } = await stage.endpoint((socket) => {
        const talk = setInterval(() => socket.write('talk'), 1);
        socket.once('close', () => clearInterval(talk));
      });
      const listener = await use(stage, listen(stage.recorder, { host: HOST, port, at }));
      const client = connect(stage, listener);
      await read(client);
      client.destroy();
      await stage.ssh.until((node) => node.channels === 0);
      await until('no connection', () => listener.connections === 0);
    });
  });
}

describe('listen: a client by a UNIX socket that goes away', () => {
  let stage: Stage;
  beforeEach(async () => (stage = await Stage.start()));
  afterEach(() => stage.end());

  it('leaves no channel to an endpoint that is silent, which gets all that it has sent', async () => {
    const endpoint = await stage.endpoint(silent);
    const at = { path: join(folder(stage), 'socket') };
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port: endpoint.port, at }));
    const accepted = endpoint.next();
    const client = connect(stage, listener);
    const peer = await accepted;
    client.end('the last words', () => client.destroy());
    expect((await readAll(peer)).toString()).to.equal('the last words');
    await until('no connection', () => listener.connections === 0);
    await stage.ssh.until((node) => node.channels === 0);
  });

  it('is told from one that has ended its side and waits', async () => {
    const endpoint = await stage.endpoint(silent);
    const at = { path: join(folder(stage), 'socket') };
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port: endpoint.port, at }));
    const accepted = endpoint.next();
    const client = connect(stage, listener);
    client.end('question');
    const peer = await accepted;
    expect((await readAll(peer)).toString()).to.equal('question');
    // Another that goes away, and is noticed, shows that the first was looked at as often.
    const next = endpoint.next();
    const other = connect(stage, listener);
    await next;
    other.destroy();
    await until('one connection', () => listener.connections === 1);
    peer.end('answer');
    expect((await readAll(client)).toString()).to.equal('answer');
  });
});

describe('listen', () => {
  let stage: Stage;
  beforeEach(async () => (stage = await Stage.start()));
  afterEach(() => stage.end());

  it('dials as it is told: host, port, node and deadline', async () => {
    const { port } = await stage.endpoint();
    const asked: { host: string; port: number; options: DialOptions | undefined }[] = [];
    const dial = stage.recorder.dial.bind(stage.recorder);
    stage.recorder.dial = (host, port, options) => {
      asked.push({ host, port, options });
      return dial(host, port, options);
    };
    const { name } = stage.ssh.spec;
    const options = { host: 'localhost', port, via: name, timeoutMs: 5_000 };
    const listener = await use(stage, listen(stage.recorder, options));
    await roundTrip(connect(stage, listener));
    expect(asked).to.have.length(1);
    expect(asked[0]).to.deep.include({ host: 'localhost', port });
    expect(asked[0]?.options).to.include({ node: name, timeoutMs: 5_000, allowHalfOpen: true });
  });

  it('resets a client whose dial fails, and tells why', async () => {
    const errors: Error[] = [];
    const port = await closedPort();
    const onError = (error: Error) => void errors.push(error);
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port, onError }));
    expect(await fate(connect(stage, listener))).to.equal('ECONNRESET');
    await until('the error', () => errors.length === 1);
    expect(errors[0]).to.be.instanceOf(EndpointError).with.property('code', 'ECONNREFUSED');
  });

  it('resets a client when no node has this name', async () => {
    const errors: Error[] = [];
    const onError = (error: Error) => void errors.push(error);
    const options = { host: HOST, port: 1, via: 'nowhere', onError };
    const listener = await use(stage, listen(stage.recorder, options));
    expect(await fate(connect(stage, listener))).to.equal('ECONNRESET');
    await until('the error', () => errors.length === 1);
    expect(errors[0]).to.be.instanceOf(NoRouteError);
  });

  it('resets a client whose node has been lost, and never ends it cleanly', async () => {
    const { port } = await stage.endpoint();
    const errors: Error[] = [];
    const onError = (error: Error) => void errors.push(error);
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port, onError }));
    const client = connect(stage, listener);
    await roundTrip(client);
    const ended = fate(client);
    stage.ssh.cut('fin');
    expect(await ended).to.equal('ECONNRESET');
    await until('the error', () => errors.length === 1);
    expect(errors[0]).to.have.property('code', 'ECONNRESET');
  });

  it('resets a client whose node is down, and serves the next when it is back', async () => {
    const { port } = await stage.endpoint();
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port, timeoutMs: 500 }));
    await stage.ssh.stop();
    expect(await fate(connect(stage, listener))).to.equal('ECONNRESET');
    await stage.ssh.start();
    let served: boolean;
    do {
      served = await roundTrip(connect(stage, listener)).then(
        () => true,
        () => false,
      );
    } while (!served);
  });

  it('does not let an endpoint take a reset upload for a complete one, though it was not being read', async () => {
    const endpoint = await stage.endpoint((socket) => void socket.pause());
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port: endpoint.port }));
    const accepted = endpoint.next();
    const client = connect(stage, listener);
    const peer = await accepted;
    const flood = Buffer.alloc(1024 * 1024);
    await until('a full tunnel', () => {
      client.write(flood);
      return client.writableLength > 8 * flood.length;
    });
    // Nobody reads any more, and nobody writes: only looking tells that the client is gone.
    let still = 0;
    let carried = -1;
    await until('nothing to move', () => {
      const { bytesWritten } = stage.recorder.last;
      still = bytesWritten === carried ? still + 1 : 0;
      carried = bytesWritten;
      return still > 500;
    });
    client.resetAndDestroy();
    await until('the end of the stream', () => stage.recorder.last.destroyed);
    expect(stage.recorder.last.writableFinished).to.equal(false);
    peer.destroy();
  });

  it('gives the whole answer of an endpoint that takes no more', async () => {
    const answer = Buffer.alloc(300_000, 'answer ');
    const { port } = await stage.endpoint((socket) => void socket.end(answer));
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port }));
    const client = connect(stage, listener).pause();
    await until('the whole answer', () => stage.recorder.sockets[0]?.readableEnded === true);
    stage.recorder.last.destroy(new EndpointError('ECONNRESET', 'closed the stream'));
    await until('no connection', () => listener.connections === 0);
    expect((await readAll(client)).length).to.equal(answer.length);
  });

  it('keeps a stream that is silent for as long as it lasts', async () => {
    const endpoint = await stage.endpoint(silent);
    const listener = await use(stage, listen(stage.recorder, { host: HOST, port: endpoint.port }));
    const accepted = endpoint.next();
    const client = connect(stage, listener);
    const peer = await accepted;
    await turns(20);
    peer.write('late');
    expect((await read(client)).toString()).to.equal('late');
    const ended = once(peer, 'end');
    client.resetAndDestroy();
    await ended;
  });
});
