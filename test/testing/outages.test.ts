import { expect } from 'chai';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { ClosedError, InvalidOptionError } from '../../lib/errors.js';
import { type SshNode, startSshNode } from '../../lib/testing/index.js';
import { begin, connect, echo, read, readAll, startEndpoint, tcp, type TestEndpoint } from './peer.js';

describe('testing: outages of an SSH node', () => {
  let node: SshNode;
  let endpoint: TestEndpoint;

  beforeEach(async () => {
    node = await startSshNode();
    endpoint = await startEndpoint(echo);
  });

  afterEach(async () => {
    await node.close();
    await endpoint.close();
  });

  it('cuts with a FIN', async () => {
    const socket = tcp(node);
    await read(socket, 8);
    node.cut('fin');
    expect(node.connections).to.equal(0);
    expect(await readAll(socket)).to.have.length(0);
  });

  it('cuts with a FIN while the client sends', async () => {
    const { open, closed, errors } = await connect(node);
    const channel = await open('127.0.0.1', endpoint.port);
    channel.resume().write(Buffer.alloc(4 * 1024 * 1024));
    await once(channel, 'data');
    node.cut('fin');
    expect(node).to.include({ connections: 0, channels: 0 });
    await closed;
    expect(errors).to.deep.equal([]);
  });

  it('cuts with an RST', async () => {
    const socket = tcp(node);
    await read(socket, 8);
    const failed = once(socket, 'error') as Promise<[NodeJS.ErrnoException]>;
    socket.resume();
    node.cut('rst');
    expect((await failed)[0].code).to.equal('ECONNRESET');
    expect(node.connections).to.equal(0);
  });

  it('cuts the endpoints off, too, and takes new connections at once', async () => {
    const { open } = await connect(node);
    const [socket] = await Promise.all([endpoint.next(), open('127.0.0.1', endpoint.port)]);
    const ended = once(socket, 'end');
    node.cut('rst');
    await ended;
    await connect(node);
    expect(node).to.include({ connections: 1, totalConnections: 2 });
  });

  it('says why it disconnects', async () => {
    const { closed, errors } = await connect(node);
    node.disconnect(2, 'Too many authentication failures');
    await closed;
    expect(errors).to.have.length(1);
    expect(errors[0]).to.include({ code: 2, message: 'Too many authentication failures' });
  });

  it('disconnects connections that have not begun to speak', async () => {
    node.faults.silent();
    const socket = tcp(node);
    await node.until(({ connections }) => connections === 1);
    node.disconnect();
    expect(await readAll(socket)).to.have.length(0);
  });

  it('does not answer while it is paused, and loses nothing', async () => {
    const { open } = await connect(node);
    const channel = await open('127.0.0.1', endpoint.port);
    node.pause();
    const answers: Buffer[] = [];
    channel.on('data', (chunk: Buffer) => answers.push(chunk));
    channel.write('are you there?');
    await roundTrips();
    expect(answers).to.deep.equal([]);
    node.resume();
    if (answers.length === 0) await once(channel, 'data');
    expect(Buffer.concat(answers).toString()).to.equal('are you there?');
  });

  it('reads nothing while it is paused', async () => {
    const { open } = await connect(node);
    const [socket, channel] = await Promise.all([endpoint.next(), open('127.0.0.1', endpoint.port)]);
    let received = 0;
    socket.on('data', (chunk) => (received += chunk.length));
    node.pause();
    channel.write('hello?');
    await roundTrips();
    expect(received).to.equal(0);
    node.resume();
    await once(socket, 'data');
    expect(received).to.equal(6);
  });

  it('sends nothing of what endpoints send while it is paused', async () => {
    const { open } = await connect(node);
    const [socket, channel] = await Promise.all([endpoint.next(), open('127.0.0.1', endpoint.port)]);
    let received = 0;
    channel.on('data', (chunk: Buffer) => (received += chunk.length));
    node.pause();
    await new Promise((resolve) => socket.write(Buffer.alloc(100_000), resolve));
    await roundTrips();
    expect(received).to.equal(0);
    node.resume();
    while (received < 100_000) await once(channel, 'data');
    expect(received).to.equal(100_000);
  });

  it('says nothing to new connections while it is paused, and greets them afterwards', async () => {
    node.pause();
    const peer = begin(node);
    const ready = once(peer.client, 'ready');
    await node.until(({ connections }) => connections === 1);
    expect(node.handshakes).to.equal(0);
    node.resume();
    await ready;
  });

  it('can be paused from the first moment of a connection', async () => {
    const paused = node.until(({ connections }) => {
      if (connections === 1) node.pause();
      return connections === 1;
    });
    const socket = tcp(node);
    // Read, it would end the connection.
    socket.resume().write('SSH-1.5-old\r\n');
    await paused;
    await roundTrips();
    expect(node.connections).to.equal(1);
    node.resume();
    await closed(socket);
  });

  it('can be cut and closed while it is paused', async () => {
    const peer = await connect(node);
    node.pause();
    const late = tcp(node);
    const lateClosed = closed(late);
    await node.until(({ connections }) => connections === 2);
    node.cut('rst');
    await peer.closed;
    await lateClosed;
    await node.close();
  });

  it('refuses connections while it is stopped, and listens on the same port again', async () => {
    const { closed } = await connect(node);
    const { port } = node.spec;
    await node.stop();
    await closed;
    expect(node.connections).to.equal(0);
    const [error] = (await once(tcp(node), 'error')) as [NodeJS.ErrnoException];
    expect(error.code).to.equal('ECONNREFUSED');
    await node.start();
    expect(node.spec.port).to.equal(port);
    const { open } = await connect(node);
    const channel = await open('127.0.0.1', endpoint.port);
    channel.end('back');
    expect((await readAll(channel)).toString()).to.equal('back');
    expect(node).to.include({ totalConnections: 2 });
  });

  it('takes start, stop and close one after the other, however they are called', async () => {
    const { address, port } = node.spec;
    await Promise.all([node.stop(), node.stop(), node.start(), node.start(), node.stop(), node.start()]);
    await connect(node);
    await Promise.all([node.stop(), node.start(), node.close()].map((step) => step.catch(() => undefined)));
    const [error] = (await once(connectTcp(port, address), 'error')) as [NodeJS.ErrnoException];
    expect(error.code).to.equal('ECONNREFUSED');
  });

  it('is not paused any more after a stop', async () => {
    node.pause();
    await node.stop();
    await node.start();
    await connect(node);
  });

  it('survives clients that speak no SSH, and does not wait for them', async () => {
    let asked = 0;
    for (const text of ['SSH-1.5-old\r\n', '\0'.repeat(20_000), 'SSH-2.0-x\r\n\xff'.repeat(9)]) {
      const socket = tcp(node, { allowHalfOpen: true });
      asked += 1;
      socket.on('error', () => undefined).resume();
      socket.write(text, 'latin1');
      await node.until(({ totalConnections }) => totalConnections === asked);
      // The client leaves its side open.
      await node.until(({ connections }) => connections === 0);
      socket.destroy();
    }
    const http = tcp(node);
    http.resume().end('GET / HTTP/1.1\r\n\r\n');
    await closed(http);
    await connect(node);
  });

  it('waits for a condition, and gives up when it is closed', async () => {
    await node.until(() => true);
    const failed = node.until(() => {
      throw new Error('bad condition');
    });
    const waiting = node.until(({ connections }) => connections === 99);
    const outcomes = Promise.allSettled([failed, waiting]);
    await node.close();
    const reasons = (await outcomes).map(
      (outcome) => outcome.status === 'rejected' && String(outcome.reason),
    );
    expect(reasons[0]).to.equal('Error: bad condition');
    expect(reasons[1]).to.match(/^ClosedError: the SSH node node-1 is closed/);
    const late: unknown = await node.until(() => false).catch((reason: unknown) => reason);
    expect(late).to.be.instanceOf(ClosedError);
  });

  it('stays closed', async () => {
    await Promise.all([node.close(), node.close(), node[Symbol.asyncDispose]()]);
    const error: unknown = await node.start().catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(ClosedError);
    node.cut('fin');
    node.disconnect();
    node.pause();
    node.resume();
    await node.rekey();
    await node.stop();
  });

  it('leaves nothing behind when it is closed in the midst of everything', async () => {
    // Mocha's own timer starts after the first turn of a test.
    await new Promise(setImmediate);
    const before = resources();
    const busy = await startSshNode();
    const sink = await startEndpoint((socket) => socket.pause());
    const peer = await connect(busy);
    const channel = await peer.open('127.0.0.1', sink.port);
    channel.write(Buffer.alloc(8 * 1024 * 1024));
    busy.faults.confirmLate(1_000_000);
    peer.open('127.0.0.1', sink.port).catch(() => undefined);
    await busy.until(({ pendingOpens }) => pendingOpens === 1);
    busy.faults.neverAnswer();
    peer.open('127.0.0.1', sink.port).catch(() => undefined);
    await busy.until(({ pendingOpens }) => pendingOpens === 2);
    busy.faults.banner('wait\r\n', { endless: true });
    const bannered = tcp(busy);
    const banneredClosed = closed(bannered.resume());
    await busy.until(({ connections }) => connections === 2);
    busy.pause();
    const held = tcp(busy);
    const heldClosed = closed(held.resume());
    await busy.until(({ connections }) => connections === 3);
    await busy.close();
    await Promise.all([peer.closed, banneredClosed, heldClosed, sink.close()]);
    // A handle is counted until libuv's next turns have closed it.
    for (let turn = 0; turn < 100 && resources().join() !== before.join(); turn += 1) {
      await new Promise(setImmediate);
    }
    expect(busy).to.include({ connections: 0, channels: 0, pendingOpens: 0 });
    expect(resources()).to.deep.equal(before);
  });

  it('refuses wrong arguments', () => {
    expect(() => node.cut('off' as 'fin'))
      .to.throw(InvalidOptionError)
      .with.property('option', 'cut');
    expect(() => node.disconnect(-1))
      .to.throw(InvalidOptionError)
      .with.property('option', 'reason');
  });
});

/** What a node that does not hang does meanwhile on the same event loop: time enough for an answer. */
async function roundTrips(): Promise<void> {
  const node = await startSshNode();
  const endpoint = await startEndpoint(echo);
  const { open } = await connect(node);
  const channel = await open('127.0.0.1', endpoint.port);
  for (let round = 0; round < 20; round += 1) {
    channel.write('x');
    await read(channel, 1);
  }
  await node.close();
  await endpoint.close();
}

function resources(): string[] {
  return process.getActiveResourcesInfo().sort();
}

/** Closed, with or without an error. */
function closed(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.on('error', () => undefined).once('close', () => resolve()));
}
