import { expect } from 'chai';
import { createHash, randomBytes } from 'node:crypto';
import { getEventListeners, once } from 'node:events';
import { Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { Writable } from 'node:stream';
import sinon from 'sinon';
import ssh2, { type Connection as ServerConnection, type ServerChannel } from 'ssh2';
import {
  AuthenticationError,
  ChannelRefusedError,
  ClosedError,
  EndpointError,
  TransportError,
  type TunnelError,
} from '../../lib/errors.js';
import type { Connection } from '../../lib/ssh/connection.js';
import type { TunnelSocket } from '../../lib/dialer.js';
import type { SshNode } from '../../lib/testing/index.js';
import {
  echo,
  gate,
  Lab,
  read,
  readAll,
  rejection,
  roundTrip,
  silent,
  turn,
  turns,
  uncaughtDuring,
  until,
} from '../support/dialer.js';
import { inOnePiece, protocolOf, startRawSshServer } from '../support/raw-ssh-server.js';

describe('Connection', () => {
  let lab: Lab;
  let node: SshNode;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node();
  });

  afterEach(async () => {
    await lab.end();
  });

  /** A connection, and every time that it was reported as over. */
  function create(options: Parameters<Lab['connection']>[1] = {}) {
    const ends: (TunnelError | undefined)[] = [];
    const connection = lab.connection(node, { onClosed: (error) => void ends.push(error), ...options });
    return { connection, ends };
  }

  async function connect(options: Parameters<Lab['connection']>[1] = {}) {
    const created = create(options);
    await created.connection.connect();
    return created;
  }

  /** Opens a channel, and counts how often its place was given free. */
  function open(connection: Connection, port: number, signal = new AbortController().signal) {
    const place = { freed: 0 };
    const socket = connection.open(
      { host: '127.0.0.1', port, allowHalfOpen: false, onFree: () => (place.freed += 1) },
      signal,
    );
    return { place, socket };
  }

  /** The TCP socket of the only connection. */
  function transportSocket(): Socket {
    const handles = (process as unknown as { _getActiveHandles: () => unknown[] })._getActiveHandles();
    const found = handles.filter(
      (handle): handle is Socket => handle instanceof Socket && handle.remotePort === node.spec.port,
    );
    expect(found).to.have.length(1);
    return found[0]!;
  }

  describe('its states', () => {
    it('are idle, connecting, ready and, once it is closed, closed', async () => {
      const { connection, ends } = create();
      expect(connection.state).to.equal('idle');
      const connected = connection.connect();
      expect(connection.state).to.equal('connecting');
      await connected;
      expect(connection.state).to.equal('ready');
      connection.close();
      expect(connection.state).to.equal('closed');
      expect(connection.error).to.equal(undefined);
      expect(ends).to.deep.equal([undefined]);
      await connection.gone;
    });

    it('share one attempt among all who connect', async () => {
      const { connection } = create();
      await Promise.all([connection.connect(), connection.connect()]);
      await connection.connect();
      expect(node.totalConnections).to.equal(1);
    });

    it('end with the failure of the attempt, which is told once to everybody', async () => {
      node.faults.rejectKey();
      const { connection, ends } = create();
      const failures = await Promise.all(
        [connection.connect(), connection.connect()].map((one) => rejection(one)),
      );
      expect(failures[0]).to.be.an.instanceOf(AuthenticationError).and.to.equal(failures[1]);
      expect(ends).to.deep.equal([failures[0]]);
      expect(connection.state).to.equal('closed');
      expect(connection.error).to.equal(failures[0]);
      expect(await rejection(connection.connect())).to.equal(failures[0]);
    });

    it('end without an error when it is closed before it has begun', async () => {
      const { connection, ends } = create();
      connection.close();
      expect(ends).to.deep.equal([undefined]);
      expect(await rejection(connection.connect())).to.be.an.instanceOf(ClosedError);
      await turns(5);
      expect(node.totalConnections).to.equal(0);
    });

    it('end without an error when it is closed while it connects, and nothing is left of the attempt', async () => {
      node.faults.stallHandshake();
      const { connection, ends } = create();
      const connected = rejection(connection.connect());
      await node.until(({ connections }) => connections === 1);
      connection.close();
      expect(await connected).to.be.an.instanceOf(ClosedError);
      expect(ends).to.deep.equal([undefined]);
      await node.until(({ connections }) => connections === 0);
    });

    it('end with the error it is destroyed with, once', async () => {
      const { connection, ends } = await connect();
      const error = new ClosedError('destroyed');
      connection.destroy(error);
      connection.destroy(new ClosedError('again'));
      connection.close();
      expect(ends).to.deep.equal([error]);
      expect(connection.error).to.equal(error);
      await connection.gone;
      await node.until(({ connections }) => connections === 0);
    });

    it('survive a failure of the handshake that nobody waits for', async () => {
      node.faults.stallHandshake();
      const { connection, ends } = create({ connectMs: 50 });
      void connection.connect().catch(() => undefined);
      await until('the end', () => ends.length > 0);
      expect(ends[0]).to.include({ code: 'ETIMEDOUT' });
    });
  });

  describe('carries streams', () => {
    it('both ways, of any size, side by side', async () => {
      const endpoint = await lab.endpoint();
      const { connection } = await connect();
      const sums = Array.from({ length: 20 }, async (_, index) => {
        const data = randomBytes(300_000 + index);
        const socket = await open(connection, endpoint.port).socket;
        socket.end(data);
        const back = await readAll(socket);
        return (
          createHash('sha256').update(back).digest('hex') === createHash('sha256').update(data).digest('hex')
        );
      });
      expect(await Promise.all(sums)).to.deep.equal(sums.map(() => true));
      await node.until(({ channels }) => channels === 0);
      expect(connection.openChannels).to.equal(0);
    });

    it('across key exchanges, unharmed', async () => {
      const endpoint = await lab.endpoint();
      const { connection, ends } = await connect();
      const data = randomBytes(8 * 1024 * 1024);
      const socket = await open(connection, endpoint.port).socket;
      const back = readAll(socket);
      socket.end(data);
      for (let times = 0; times < 5; times += 1) await node.rekey();
      expect((await back).equals(data)).to.equal(true);
      expect(node.rekeys).to.equal(5);
      expect(ends).to.deep.equal([]);
    });

    it('holds back what is written while keys are exchanged, and sends it then', async () => {
      const endpoint = await lab.endpoint();
      const { connection } = await connect();
      const stream = await open(connection, endpoint.port).socket;
      await roundTrip(stream);
      const exchanged = node.rekey();
      node.pause();
      await turns(20);
      let done = false;
      stream.write('held', () => (done = true));
      await turns(5);
      expect(done).to.equal(false);
      node.resume();
      await exchanged;
      expect((await read(stream, 4)).toString()).to.equal('held');
      expect(done).to.equal(true);
    });

    it('counts a stream until it is over, and gives its place free once', async () => {
      const endpoint = await lab.endpoint();
      const { connection } = await connect();
      const { place, socket } = open(connection, endpoint.port);
      const stream = await socket;
      expect([connection.openChannels, place.freed]).to.deep.equal([1, 0]);
      stream.destroy();
      expect([connection.openChannels, place.freed]).to.deep.equal([0, 1]);
      await node.until(({ channels }) => channels === 0);
      await turns(3);
      expect(place.freed).to.equal(1);
    });

    it('keeps a place taken when too many closed channels linger, and gives it free with the CLOSE of the node', async () => {
      const endpoint = await lab.endpoint(silent);
      const { connection } = await connect({ maxLingering: 1 });
      const [one, two] = [open(connection, endpoint.port), open(connection, endpoint.port)];
      const streams = await Promise.all([one.socket, two.socket]);
      node.pause();
      for (const stream of streams) stream.destroy();
      expect([one.place.freed, two.place.freed]).to.deep.equal([1, 0]);
      node.resume();
      await until('CLOSE', () => two.place.freed === 1);
    });

    it('hands a stream out without listeners of its own, so that an error that nobody hears ends the process', async () => {
      const endpoint = await lab.endpoint();
      const { connection } = await connect();
      const stream = await open(connection, endpoint.port).socket;
      expect(stream.listenerCount('error')).to.equal(0);
    });

    it('delivers what the node sends in one piece with its confirmation', async () => {
      const target = await startRawSshServer(lab, ({ socket, accept }) => {
        inOnePiece(socket, () => {
          const channel = accept();
          channel.write('early');
          channel.eof();
          channel.close();
        });
      });
      const { connection } = create(target);
      await connection.connect();
      const stream = await open(connection, 1).socket;
      expect((await readAll(stream)).toString()).to.equal('early');
    });
  });

  describe('a channel that is not opened', () => {
    it('says what the endpoint answered', async () => {
      const { connection } = await connect();
      const endpoint = await lab.endpoint();
      await endpoint.close();
      const { place, socket } = open(connection, endpoint.port);
      const error = await rejection<EndpointError>(socket);
      expect(error).to.be.an.instanceOf(EndpointError);
      expect(error).to.include({
        code: 'ECONNREFUSED',
        node: 'node-1',
        host: '127.0.0.1',
        port: endpoint.port,
      });
      expect([place.freed, connection.state]).to.deep.equal([1, 'ready']);
    });

    it('says what the node forbids', async () => {
      const { connection } = await connect();
      node.faults.refuse({ reason: 1 });
      const { place, socket } = open(connection, 1);
      const error = await rejection<TunnelError>(socket);
      expect(error).to.be.an.instanceOf(ChannelRefusedError).and.include({ code: 'ERR_TUNNEL_PROHIBITED' });
      expect([place.freed, connection.state]).to.deep.equal([1, 'ready']);
    });

    for (const how of ['fin', 'rst'] as const) {
      it(`because the connection was lost (${how}) says so`, async () => {
        const { connection, ends } = await connect();
        node.faults.neverAnswer();
        const { place, socket } = open(connection, 1);
        await node.until(({ pendingOpens }) => pendingOpens === 1);
        node.cut(how);
        const error = await rejection<TransportError>(socket);
        expect(error).to.be.an.instanceOf(TransportError);
        expect(error).to.include({ code: 'ERR_TUNNEL_LOST', node: 'node-1', host: '127.0.0.1', port: 1 });
        expect(error.cause).to.equal(ends[0]);
        expect(place.freed).to.equal(1);
      });
    }

    it('because the connection is not ready says so, and gives its place free', async () => {
      const { connection } = create();
      const idle = open(connection, 1);
      expect(await rejection(idle.socket)).to.include({ code: 'ERR_TUNNEL_LOST' });
      expect(idle.place.freed).to.equal(1);
      connection.destroy(new ClosedError('gone'));
      const over = open(connection, 1);
      const error = await rejection(over.socket);
      expect(error.message).to.include('gone');
      expect(over.place.freed).to.equal(1);
    });

    it('because it was confirmed and cut in one piece fails its dial, and not the process', async () => {
      const target = await startRawSshServer(lab, ({ socket, accept }) => {
        inOnePiece(socket, () => accept().close());
      });
      const { connection } = create(target);
      await connection.connect();
      const uncaught = await uncaughtDuring(async () => {
        const { place, socket } = open(connection, 1);
        const error = await rejection<TunnelError>(socket);
        expect(error).to.be.an.instanceOf(EndpointError).and.include({ code: 'ECONNRESET' });
        expect(place.freed).to.equal(1);
      });
      expect(uncaught).to.deep.equal([]);
      expect([connection.openChannels, connection.state]).to.deep.equal([0, 'ready']);
    });

    it('because the node disconnected in one piece with its confirmation fails its dial, and not the process', async () => {
      const target = await startRawSshServer(lab, ({ client, socket, accept }) => {
        inOnePiece(socket, () => {
          accept();
          protocolOf(client).disconnect(2);
        });
      });
      const { connection } = create(target);
      await connection.connect();
      const uncaught = await uncaughtDuring(async () => {
        const error = await rejection<TunnelError>(open(connection, 1).socket);
        expect(error).to.be.an.instanceOf(TransportError).and.include({ code: 'ERR_TUNNEL_LOST' });
      });
      expect(uncaught).to.deep.equal([]);
      expect(connection.state).to.equal('closed');
    });
  });

  describe('a dial that is given up', () => {
    it('before it was sent asks nothing of the node', async () => {
      const { connection } = await connect();
      const reason = new Error('enough');
      const { place, socket } = open(connection, 1, AbortSignal.abort(reason));
      expect(await rejection(socket)).to.equal(reason);
      expect(place.freed).to.equal(1);
      await turns(3);
      expect(node.totalChannels + node.pendingOpens).to.equal(0);
    });

    it('closes a channel that is confirmed too late, and gives its place free once', async () => {
      const endpoint = await lab.endpoint();
      const { connection } = await connect();
      const { opened, open: confirm } = gate();
      node.faults.confirmLate(opened);
      const controller = new AbortController();
      const { place, socket } = open(connection, endpoint.port, controller.signal);
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      const reason = new Error('enough');
      controller.abort(reason);
      expect(await rejection(socket)).to.equal(reason);
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
      expect(place.freed).to.equal(1);
      confirm();
      await node.until(({ totalChannels }) => totalChannels === 1);
      await node.until(({ channels }) => channels === 0);
      await until('our side', () => connection.openChannels === 0);
      expect(place.freed).to.equal(1);
      node.faults.reset();
      await roundTrip(await open(connection, endpoint.port).socket);
    });

    it('keeps its place when too many linger, until the node has answered', async () => {
      const { connection } = await connect({ maxLingering: 1 });
      const { opened, open: answer } = gate();
      node.faults.confirmLate(opened);
      const controllers = [new AbortController(), new AbortController()];
      const dials = controllers.map(({ signal }) => open(connection, 1, signal));
      await node.until(({ pendingOpens }) => pendingOpens === 2);
      for (const controller of controllers) controller.abort(new Error('enough'));
      await Promise.all(dials.map(({ socket }) => rejection(socket)));
      expect(dials.map(({ place }) => place.freed)).to.deep.equal([1, 0]);
      node.faults.reset();
      answer();
      await until('the answer', () => dials[1]!.place.freed === 1);
      expect(dials[0]!.place.freed).to.equal(1);
    });

    it('after it was opened changes nothing', async () => {
      const endpoint = await lab.endpoint();
      const { connection } = await connect();
      const controller = new AbortController();
      const { place, socket } = open(connection, endpoint.port, controller.signal);
      const stream = await socket;
      expect(getEventListeners(controller.signal, 'abort')).to.have.length(0);
      controller.abort(new Error('enough'));
      await roundTrip(stream);
      expect([place.freed, connection.openChannels, connection.isQuiet]).to.deep.equal([0, 1, false]);
      stream.destroy();
      expect([place.freed, connection.openChannels, connection.isQuiet]).to.deep.equal([1, 0, true]);
      connection.close();
      expect(connection.state).to.equal('closed');
    });

    it('and refused too late leaves nothing behind', async () => {
      const { connection } = await connect();
      const { opened, open: answer } = gate();
      node.faults.confirmLate(opened);
      const controller = new AbortController();
      const { place, socket } = open(connection, 1, controller.signal);
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      controller.abort(new Error('enough'));
      await rejection(socket);
      answer();
      await node.until(({ pendingOpens }) => pendingOpens === 0);
      await turns(5);
      expect(place.freed).to.equal(1);
      connection.close();
      expect(connection.state).to.equal('closed');
    });

    it('does not keep the connection from being closed while the node has not answered', async () => {
      const { connection, ends } = await connect();
      node.faults.neverAnswer();
      const controller = new AbortController();
      const { socket } = open(connection, 1, controller.signal);
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      controller.abort(new Error('enough'));
      await rejection(socket);
      connection.close();
      expect(connection.state).to.equal('closed');
      expect(ends).to.deep.equal([undefined]);
    });

    for (const maxLingering of [0, 1]) {
      it(`ends a connection that drains and waits for nothing else, with ${maxLingering} lingering, and gives its place free once`, async () => {
        const { connection, ends } = await connect({ maxLingering });
        node.faults.neverAnswer();
        const controller = new AbortController();
        const { place, socket } = open(connection, 1, controller.signal);
        await node.until(({ pendingOpens }) => pendingOpens === 1);
        connection.close();
        expect(connection.state).to.equal('draining');
        const reason = new Error('enough');
        controller.abort(reason);
        expect(await rejection(socket)).to.equal(reason);
        expect(ends).to.deep.equal([undefined]);
        expect([place.freed, connection.isQuiet]).to.deep.equal([1, true]);
      });
    }

    it('gives its place free once when the connection is lost after it', async () => {
      const { connection } = await connect({ maxLingering: 0 });
      node.faults.neverAnswer();
      const controller = new AbortController();
      const { place, socket } = open(connection, 1, controller.signal);
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      controller.abort(new Error('enough'));
      await rejection(socket);
      expect(place.freed).to.equal(0);
      node.cut('rst');
      await until('the place', () => place.freed > 0);
      await turns(5);
      expect(place.freed).to.equal(1);
    });
  });

  describe('that is lost', () => {
    const losses: Record<string, (node: SshNode) => void> = {
      'by FIN': (of) => of.cut('fin'),
      'by RST': (of) => of.cut('rst'),
      'by DISCONNECT by application': (of) => of.disconnect(11, 'bye'),
      'by DISCONNECT for a protocol error': (of) => of.disconnect(2, 'no'),
      'by silence': (of) => of.pause(),
    };
    for (const [how, lose] of Object.entries(losses)) {
      it(`${how} errors every stream, and is reported once`, async () => {
        const endpoint = await lab.endpoint((socket) => void socket.write('hello'));
        const { connection, ends } = await connect({
          keepaliveIntervalMs: how === 'by silence' ? 100 : 10_000,
          keepaliveCountMax: 1,
        });
        const dials = [open(connection, endpoint.port), open(connection, endpoint.port)];
        const streams = await Promise.all(dials.map(({ socket }) => socket));
        await Promise.all(streams.map((stream) => read(stream)));
        const errors = streams.map((stream) => once(stream, 'error') as Promise<[TransportError]>);
        lose(node);
        for (const [error] of await Promise.all(errors)) {
          expect(error).to.be.an.instanceOf(TransportError);
          expect(error).to.include({ code: 'ECONNRESET', node: 'node-1', port: endpoint.port });
          expect(error.cause).to.equal(ends[0]);
        }
        expect(ends).to.have.length(1);
        expect(ends[0]).to.be.an.instanceOf(TransportError).and.include({ code: 'ERR_TUNNEL_LOST' });
        expect(connection.openChannels).to.equal(0);
        expect(dials.map(({ place }) => place.freed)).to.deep.equal([1, 1]);
        await connection.gone;
      });
    }

    it('rejects the pipeline of a cut download', async () => {
      const endpoint = await lab.endpoint((socket) => void socket.write(Buffer.alloc(1024 * 1024)));
      const { connection } = await connect();
      const stream = await open(connection, endpoint.port).socket;
      let received = 0;
      const sink = new Writable({
        write: (chunk: Buffer, _encoding, callback) => {
          received += chunk.length;
          if (received > 100_000) node.cut('fin');
          callback();
        },
      });
      const error = await rejection<TunnelError>(pipeline(stream, sink));
      expect(error).to.be.an.instanceOf(TransportError).and.include({ code: 'ECONNRESET' });
    });

    it('fails writes that are parked or in flight, each once, and none is reported as done after a FIN', async () => {
      const endpoint = await lab.endpoint((socket) => socket.pause());
      const { connection } = await connect();
      const stream = await open(connection, endpoint.port).socket;
      const outcomes: (Error | null | undefined)[] = [];
      stream.on('error', () => undefined);
      let written = 0;
      // Until both the window and our buffers are full.
      while (
        stream.write(Buffer.alloc(64 * 1024), (error) => void outcomes.push(error)) ||
        stream.writableLength < 2 ** 20
      ) {
        written += 1;
        await turn();
      }
      written += 1;
      await turns(20);
      const done = outcomes.length;
      expect(done).to.be.below(written);
      const closed = new Promise((resolve) => stream.once('close', resolve));
      node.cut('fin');
      await closed;
      await turns(2);
      expect(outcomes).to.have.length(written);
      expect(outcomes.slice(done).every((error) => error instanceof Error)).to.equal(true);
    });

    it('reports no write as done that comes after the FIN of the node, and before we have heard of it', async () => {
      const endpoint = await lab.endpoint();
      const { connection } = await connect();
      const stream = await open(connection, endpoint.port).socket;
      stream.on('error', () => undefined);
      const outcomes: (Error | null | undefined)[] = [];
      transportSocket().prependOnceListener('end', () => {
        expect(connection.state).to.equal('ready');
        stream.write('too late', (error) => void outcomes.push(error));
      });
      const closed = new Promise((resolve) => stream.once('close', resolve));
      node.cut('fin');
      await closed;
      await turns(2);
      expect(outcomes).to.have.length(1);
      expect(outcomes[0]).to.be.an.instanceOf(TransportError);
    });

    it('is reported as over before the places of its channels are free, so that nobody takes one of them', async () => {
      const endpoint = await lab.endpoint();
      const events: string[] = [];
      const { connection } = await connect({ onClosed: () => void events.push('over') });
      const request = { host: '127.0.0.1', port: endpoint.port, allowHalfOpen: false };
      const { signal } = new AbortController();
      const onFree = (): void => void events.push('free');
      const stream = await connection.open({ ...request, onFree }, signal);
      stream.on('error', () => undefined);
      node.faults.neverAnswer();
      const opening = rejection(connection.open({ ...request, onFree }, signal));
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      node.cut('rst');
      await opening;
      expect(events).to.deep.equal(['over', 'free', 'free']);
    });

    it('still lets a stream end cleanly, with all data, whose EOF had arrived', async () => {
      const data = randomBytes(500_000);
      const endpoint = await lab.endpoint((socket) => void socket.end(data));
      const { connection } = await connect();
      const stream = await open(connection, endpoint.port).socket;
      const sibling = await open(connection, (await lab.endpoint()).port).socket;
      await until('the last byte', () => stream.bytesRead === data.length);
      await roundTrip(sibling);
      await node.rekey();
      const lost = once(sibling, 'error');
      node.cut('rst');
      await lost;
      expect((await readAll(stream)).equals(data)).to.equal(true);
    });

    it('is found dead by a probe that is asked for, before the silence is long enough', async () => {
      const { connection, ends } = await connect({ keepaliveIntervalMs: 100, keepaliveCountMax: 1 });
      node.pause();
      connection.probeNow();
      await until('the end', () => ends.length > 0);
      expect(ends[0]!.message).to.include('nothing was heard from it');
    });
  });

  describe('and its keepalive', () => {
    it('measures how long the node takes to answer', async () => {
      const { connection } = await connect();
      await until('an answer', () => connection.roundTripMs !== undefined);
      expect(connection.roundTripMs).to.be.above(0);
    });

    it('keeps a silent connection that answers', async () => {
      const { connection, ends } = await connect({ keepaliveIntervalMs: 30, keepaliveCountMax: 9 });
      const measured = new Set<number | undefined>();
      await until('five answers', () => measured.add(connection.roundTripMs).size > 5);
      expect(ends).to.deep.equal([]);
    });

    it('does not take the life of a connection on which data arrives though probes are not answered', async () => {
      const endpoint = await lab.endpoint((socket) => {
        const timer = setInterval(() => socket.write('tick'), 5);
        socket.once('close', () => clearInterval(timer));
      });
      const target = await startRawSshServer(lab, ({ client, accept }) => {
        const channel = accept();
        const timer = setInterval(() => channel.write('tick'), 5);
        channel.once('close', () => clearInterval(timer));
        client.once('close', () => clearInterval(timer));
        // From now on nothing is answered.
        (client as unknown as { _protocol: { requestFailure: () => void } })._protocol.requestFailure = () =>
          undefined;
      });
      const { connection, ends } = create({ ...target, keepaliveIntervalMs: 100, keepaliveCountMax: 1 });
      await connection.connect();
      const stream = await open(connection, endpoint.port).socket;
      let received = 0;
      stream.on('data', (chunk: Buffer) => (received += chunk.length));
      await until('data for long enough', () => received > 4 * 100);
      expect(ends).to.deep.equal([]);
    });
  });

  describe('that is closed', () => {
    it('takes no more dials, lets streams go on, and disconnects with the last', async () => {
      const endpoint = await lab.endpoint();
      const { connection, ends } = await connect();
      const stream = await open(connection, endpoint.port).socket;
      connection.close();
      expect(connection.state).to.equal('draining');
      expect(await rejection(open(connection, endpoint.port).socket)).to.include({ code: 'ERR_TUNNEL_LOST' });
      await roundTrip(stream);
      expect(ends).to.deep.equal([]);
      stream.end('last');
      expect((await readAll(stream)).toString()).to.equal('last');
      await until('the end', () => ends.length > 0);
      expect(ends).to.deep.equal([undefined]);
      await node.until(({ connections }) => connections === 0);
      await connection.gone;
    });

    it('waits for dials under way and their streams', async () => {
      const endpoint = await lab.endpoint();
      const { connection } = await connect();
      const { opened, open: confirm } = gate();
      node.faults.confirmLate(opened);
      const { socket } = open(connection, endpoint.port);
      await node.until(({ pendingOpens }) => pendingOpens === 1);
      connection.close();
      expect(connection.state).to.equal('draining');
      confirm();
      const stream = await socket;
      await roundTrip(stream);
      stream.destroy();
      expect(connection.state).to.equal('closed');
    });

    it('does not wait for streams that nobody would miss, and ends them without an error', async () => {
      const endpoint = await lab.endpoint();
      const { connection, ends } = await connect();
      const stream = await open(connection, endpoint.port).socket;
      stream.on('error', (error) => expect.fail(String(error)));
      stream.unref();
      const closed = new Promise((resolve) => stream.once('close', resolve));
      connection.close();
      await closed;
      expect(ends).to.deep.equal([undefined]);
    });

    it('waits for a stream again that is missed after all', async () => {
      const endpoint = await lab.endpoint();
      const { connection } = await connect();
      const busy = await open(connection, endpoint.port).socket;
      const stream = await open(connection, endpoint.port).socket;
      stream.unref();
      connection.close();
      stream.ref();
      busy.destroy();
      expect(connection.state).to.equal('draining');
      await roundTrip(stream);
      stream.unref();
      expect(connection.state).to.equal('closed');
    });

    it('does not wait for a node that hangs when it says good-bye', async () => {
      const { connection } = await connect();
      node.pause();
      connection.close();
      expect(connection.state).to.equal('closed');
      await connection.gone;
      node.resume();
      await node.until(({ connections }) => connections === 0);
    });

    for (const how of ['close', 'destroy'] as const) {
      it(`leaves no timer after ${how}`, async () => {
        const clock = sinon.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
        try {
          const { connection } = await connect();
          expect(clock.countTimers()).to.be.above(0);
          if (how === 'close') connection.close();
          else connection.destroy(new ClosedError('destroyed'));
          await connection.gone;
          expect(clock.countTimers()).to.equal(0);
        } finally {
          clock.restore();
        }
      });
    }

    it('errors streams when it is destroyed while it drains', async () => {
      const endpoint = await lab.endpoint();
      const { connection, ends } = await connect();
      const stream = await open(connection, endpoint.port).socket;
      connection.close();
      const reason = new ClosedError('no more patience');
      const errored = once(stream, 'error') as Promise<[TransportError]>;
      connection.destroy(reason);
      const [error] = await errored;
      expect(error).to.be.an.instanceOf(TransportError).and.include({ code: 'ECONNRESET', cause: reason });
      expect(ends).to.deep.equal([reason]);
    });
  });

  describe('with a hostile node', () => {
    for (const excess of [1, 32 * 1024, 4 * 1024 * 1024]) {
      it(`dies of ${excess} bytes beyond the window of a channel, with all its streams`, async () => {
        const endpoint = await lab.endpoint(silent);
        const { connection, ends } = await connect();
        const stream = await open(connection, endpoint.port).socket;
        const errored = once(stream, 'error') as Promise<[TransportError]>;
        node.hostile.overflowWindow(excess);
        const [error] = await errored;
        expect(error).to.be.an.instanceOf(TransportError).and.include({ code: 'ECONNRESET' });
        expect(error.message).to.include('window');
        expect(ends).to.have.length(1);
        expect(stream.readableLength).to.be.below(5 * 1024 * 1024);
      });
    }

    it('loses one whose windows grow beyond all bounds', async () => {
      const endpoint = await lab.endpoint();
      const { connection } = await connect();
      const stream = await open(connection, endpoint.port).socket;
      const errored = once(stream, 'error') as Promise<[TransportError]>;
      node.hostile.floodWindowAdjust({ count: 2000 });
      const [error] = await errored;
      expect(error).to.include({ code: 'ECONNRESET' });
      expect(error.message).to.include('made a window larger than there can be');
      expect(connection.state).to.equal('closed');
    });

    it('errors a stream that is closed without EOF, and leaves its siblings alone', async () => {
      const endpoint = await lab.endpoint();
      const { connection } = await connect();
      const stream = await open(connection, endpoint.port).socket;
      const errored = once(stream, 'error') as Promise<[EndpointError]>;
      node.hostile.closeWithoutEof();
      const [error] = await errored;
      expect(error)
        .to.be.an.instanceOf(EndpointError)
        .and.include({ code: 'ECONNRESET', port: endpoint.port });
      expect(connection.state).to.equal('ready');
      await roundTrip(await open(connection, endpoint.port).socket);
    });

    for (const packetBytes of [0, 1]) {
      it(`does not hang on one that takes packets of at most ${packetBytes} bytes`, async () => {
        const target = await startRawSshServer(lab, ({ client, accept }) => {
          const protocol = protocolOf(client);
          const confirm = protocol.channelOpenConfirm.bind(protocol);
          protocol.channelOpenConfirm = (recipient, sender, window) =>
            confirm(recipient, sender, window, packetBytes);
          accept();
        });
        const { connection } = create(target);
        await connection.connect();
        expect(await rejection(open(connection, 1).socket)).to.be.an.instanceOf(TransportError);
      });
    }

    const demands: Record<string, (client: ServerConnection, channel: ServerChannel) => void> = {
      'asks for a sign of life again and again': (client) => {
        for (let times = 0; times < 200; times += 1) protocolOf(client).ping();
      },
      'opens a channel of its own': (client) => {
        client.forwardOut('127.0.0.1', 1, '127.0.0.1', 2, () => undefined);
      },
      'opens a channel for X11': (client) => {
        client.x11('127.0.0.1', 1, () => undefined);
      },
      'sends extended data': (client, channel) => {
        const { outgoing } = channel as unknown as { outgoing: { id: number } };
        protocolOf(client).channelExtData(outgoing.id, Buffer.from('to stderr'), 1);
      },
    };
    for (const [what, act] of Object.entries(demands)) {
      it(`gives up one that ${what}`, async () => {
        const target = await startRawSshServer(lab, ({ client, accept }) => {
          const channel = accept();
          channel.once('data', () => act(client, channel));
        });
        const { connection, ends } = create(target);
        await connection.connect();
        const stream = await open(connection, 1).socket;
        stream.write('go');
        const [error] = (await once(stream, 'error')) as [TransportError];
        expect(error).to.be.an.instanceOf(TransportError).and.include({ code: 'ECONNRESET' });
        expect(ends).to.have.length(1);
        expect(ends[0]!.message).to.include('the node ');
      });
    }

    it('answers one that asks for a sign of life now and then, as sshd does', async () => {
      let answers = 0;
      const target = await startRawSshServer(lab, ({ client, accept }) => {
        accept();
        const protocol = protocolOf(client);
        protocol._handlers.REQUEST_FAILURE = () => (answers += 1);
        for (let times = 0; times < 20; times += 1) protocol.ping();
      });
      const { connection, ends } = create(target);
      await connection.connect();
      await open(connection, 1).socket;
      await until('twenty answers', () => answers === 20);
      expect(ends).to.deep.equal([]);
    });

    it('does not fall for more data after EOF, or for anything after CLOSE', async () => {
      const target = await startRawSshServer(lab, ({ client, accept }) => {
        const channel = accept();
        const { outgoing } = channel as unknown as { outgoing: { id: number; state: string } };
        const { _protocol: protocol } = client as unknown as {
          _protocol: Record<
            'channelData' | 'channelEOF' | 'channelClose' | 'channelWindowAdjust',
            (...args: unknown[]) => void
          >;
        };
        protocol.channelData(outgoing.id, Buffer.from('before'));
        protocol.channelEOF(outgoing.id);
        protocol.channelData(outgoing.id, Buffer.from('after'));
        protocol.channelEOF(outgoing.id);
        protocol.channelClose(outgoing.id);
        protocol.channelData(outgoing.id, Buffer.from('after'));
        protocol.channelWindowAdjust(outgoing.id, 1000);
        protocol.channelClose(outgoing.id);
        outgoing.state = 'closed';
      });
      const { connection, ends } = create(target);
      await connection.connect();
      const stream = await open(connection, 1).socket;
      expect((await readAll(stream)).toString()).to.equal('before');
      expect(ends).to.deep.equal([]);
    });
  });

  describe("exceptions in the user's code", () => {
    const boom = new Error('boom');
    const throwing = (): never => {
      throw boom;
    };

    /** A stream whose user throws, and what becomes of the connection and of a sibling. */
    async function survives(attach: (stream: TunnelSocket) => void): Promise<void> {
      const endpoint = await lab.endpoint();
      const { connection, ends } = await connect();
      const [stream, sibling] = await Promise.all([
        open(connection, endpoint.port).socket,
        open(connection, endpoint.port).socket,
      ]);
      const uncaught = await uncaughtDuring(async () => {
        attach(stream);
        await roundTrip(sibling);
        await turns(10);
      });
      expect(uncaught).to.include(boom);
      expect(ends).to.deep.equal([]);
      await roundTrip(sibling);
      await roundTrip(await open(connection, endpoint.port).socket);
    }

    it("in 'data' leave the connection and its other streams alone", () =>
      survives((stream) => void stream.on('data', throwing).write('x')));

    it("in 'readable' leave the connection and its other streams alone", () =>
      survives((stream) => void stream.on('readable', throwing).write('x')));

    it("in 'end' leave the connection and its other streams alone", () =>
      survives((stream) => void stream.on('end', throwing).resume().end()));

    it("in a write's callback leave the connection and its other streams alone", () =>
      survives((stream) => void stream.write('x', throwing)));

    it("in 'drain' leave the connection and its other streams alone", () =>
      survives((stream) => {
        stream.resume().once('drain', throwing);
        while (stream.write(Buffer.alloc(64 * 1024)));
      }));

    it("in 'close' leave the connection and its other streams alone", () =>
      survives((stream) => void stream.once('close', throwing).destroy()));

    it('in a write that only the window of the node lets through leave the connection alone', async () => {
      const held: (() => void)[] = [];
      const endpoint = await lab.endpoint((socket) => {
        socket.pause();
        held.push(() => socket.resume());
      });
      const { connection, ends } = await connect();
      const stream = await open(connection, endpoint.port).socket;
      stream.on('error', () => undefined);
      const uncaught = await uncaughtDuring(async () => {
        let called = false;
        stream.write(Buffer.alloc(16 * 1024 * 1024), () => {
          called = true;
          throw boom;
        });
        await turns(20);
        expect(called).to.equal(false);
        for (const go of held) go();
        await until('the write', () => called);
      });
      expect(uncaught).to.deep.equal([boom]);
      expect(ends).to.deep.equal([]);
    });
  });

  describe('and a slow reader', () => {
    it('holds at most about 5 MB of it, and lets its siblings go on', async () => {
      const flood = await lab.endpoint((socket) => void socket.write(Buffer.alloc(32 * 1024 * 1024)));
      const endpoint = await lab.endpoint(echo);
      const { connection } = await connect();
      const slow = await open(connection, flood.port).socket;
      const sibling = await open(connection, endpoint.port).socket;
      await until('a full window', () => slow.bytesRead >= 2 * 1024 * 1024);
      await turns(50);
      expect(slow.readableLength).to.be.below(5 * 1024 * 1024);
      await roundTrip(sibling);
      let total = 0;
      slow.on('data', (chunk: Buffer) => (total += chunk.length));
      await until('all of it', () => total === 32 * 1024 * 1024);
    });
  });

  describe('and many uploads to a node that takes nothing', () => {
    /** Twenty uploads that have come to a halt: what their callbacks have said, and the TCP socket below them. */
    async function upload() {
      const endpoint = await lab.endpoint(silent);
      const { connection } = await connect();
      const streams = await Promise.all(
        Array.from({ length: 20 }, () => open(connection, endpoint.port).socket),
      );
      const outcome = { done: 0, failed: 0, most: 0 };
      const transport = transportSocket();
      node.pause();
      for (let round = 0; round < 60; round += 1) {
        for (const stream of streams) {
          stream.write(Buffer.alloc(32 * 1024), (error) => {
            if (error) outcome.failed += 1;
            else outcome.done += 1;
          });
        }
        await turn();
        outcome.most = Math.max(outcome.most, transport.writableLength);
      }
      await turns(20);
      for (const stream of streams) stream.on('error', () => undefined);
      return { outcome, transport };
    }

    it('holds little of them outside the streams themselves', async () => {
      const { outcome, transport } = await upload();
      expect(transport.writableLength).to.be.above(0);
      expect(outcome.most).to.be.below(192 * 1024);
    });

    it('reports no write as done that has not left the process', async () => {
      const { outcome, transport } = await upload();
      const left = transport.bytesWritten - transport.writableLength;
      expect(outcome.done * 32 * 1024).to.be.at.most(left);
      node.cut('rst');
      await until('all callbacks', () => outcome.done + outcome.failed === 60 * 20);
    });
  });

  describe('and the acknowledgement of small answers', () => {
    /** How many requests the node gets beside the stream's data, for one small answer. */
    async function requestsFor(ident: string): Promise<number> {
      const other = await lab.node({ ident });
      const endpoint = await lab.endpoint((socket) => void socket.once('data', () => socket.write('x')));
      const connection = lab.connection(other);
      await connection.connect();
      const stream = await open(connection, endpoint.port).socket;
      await until('the answer to the first keepalive', () => connection.roundTripMs !== undefined);
      const asked = sinon.spy(ssh2.Client.prototype, 'unforwardIn');
      try {
        stream.write('go');
        await read(stream);
        await turns(3);
        return asked.callCount;
      } finally {
        asked.restore();
      }
    }

    it('is hastened for an OpenSSH that waits for it', async () => {
      expect(await requestsFor('OpenSSH_9.2p1')).to.be.above(0);
    });

    it('is not asked for while there is no stream, so that a keepalive is one message each way', async () => {
      const other = await lab.node({ ident: 'OpenSSH_9.2p1' });
      const connection = lab.connection(other);
      const asked = sinon.spy(ssh2.Client.prototype, 'unforwardIn');
      try {
        await connection.connect();
        await until('the answer to the first keepalive', () => connection.roundTripMs !== undefined);
        await turns(3);
        expect(asked.callCount).to.equal(1);
      } finally {
        asked.restore();
      }
    });

    it('is left to the kernel for one that does not', async () => {
      expect(await requestsFor('OpenSSH_10.2p1')).to.equal(0);
    });
  });
});
