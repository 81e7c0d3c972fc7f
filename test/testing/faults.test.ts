import { expect } from 'chai';
import { once } from 'node:events';
import { InvalidOptionError } from '../../lib/errors.js';
import { type RefusalReason, type SshNode, startSshNode } from '../../lib/testing/index.js';
import {
  begin,
  connect,
  echo,
  read,
  readAll,
  refusal,
  startEndpoint,
  tcp,
  type TestEndpoint,
} from './peer.js';

describe('testing: faults of an SSH node', () => {
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

  for (const reason of [1, 2, 3, 4] satisfies RefusalReason[]) {
    it(`refuses with reason ${reason} and the text given, without asking the endpoint`, async () => {
      const { open } = await connect(node);
      node.faults.refuse({ reason, description: `no, because of ${reason} – ✗` });
      const told = await refusal(open('127.0.0.1', endpoint.port));
      expect(told).to.deep.equal({ reason, text: `no, because of ${reason} – ✗` });
      expect(endpoint.sockets.size).to.equal(0);
      expect(node).to.include({ channels: 0, pendingOpens: 0, totalChannels: 0 });
    });
  }

  it("refuses in OpenSSH's words when no text is given", async () => {
    const { open } = await connect(node);
    node.faults.refuse({ reason: 2 });
    expect(await refusal(open('a', 1))).to.deep.equal({ reason: 2, text: 'Connection refused' });
    node.faults.refuse({ reason: 4 });
    expect(await refusal(open('a', 1))).to.deep.equal({ reason: 4, text: 'open failed' });
  });

  it('opens channels again after a reset, on the same connection', async () => {
    const { open } = await connect(node);
    node.faults.refuse({ reason: 1 });
    await refusal(open('127.0.0.1', endpoint.port));
    node.faults.reset();
    const channel = await open('127.0.0.1', endpoint.port);
    channel.end('again');
    expect((await readAll(channel)).toString()).to.equal('again');
  });

  it('never answers, while channels that are open go on', async () => {
    const { client, open } = await connect(node);
    const channel = await open('127.0.0.1', endpoint.port);
    node.faults.neverAnswer();
    const pending = refusal(open('127.0.0.1', endpoint.port));
    await node.until(({ pendingOpens }) => pendingOpens === 1);
    channel.write('x');
    await read(channel, 1);
    node.faults.reset();
    expect(node).to.include({ pendingOpens: 1, channels: 1 });
    client.end();
    expect((await pending).text).to.equal('No response from server');
    await node.until(({ pendingOpens }) => pendingOpens === 0);
  });

  it('confirms when the gate opens', async () => {
    let openGate = (): void => undefined;
    node.faults.confirmLate(new Promise<void>((resolve) => (openGate = resolve)));
    const { open } = await connect(node);
    let confirmed = false;
    const opening = open('127.0.0.1', endpoint.port).finally(() => (confirmed = true));
    await node.until(({ pendingOpens }) => pendingOpens === 1);
    node.faults.refuse({ reason: 4 });
    await refusal(open('127.0.0.1', endpoint.port));
    expect(confirmed).to.equal(false);
    openGate();
    const channel = await opening;
    channel.end('late');
    expect((await readAll(channel)).toString()).to.equal('late');
  });

  it('confirms after a time', async () => {
    node.faults.confirmLate(1);
    const { open } = await connect(node);
    const channel = await open('127.0.0.1', endpoint.port);
    channel.end('late');
    expect((await readAll(channel)).toString()).to.equal('late');
  });

  it('refuses when the gate rejects, and takes one that rejects before any open', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    node.faults.confirmLate(Promise.reject(new Error('gone')));
    await new Promise(setImmediate);
    process.off('unhandledRejection', note);
    expect(unhandled).to.deep.equal([]);
    const { open } = await connect(node);
    expect(await refusal(open('127.0.0.1', 1))).to.deep.equal({ reason: 2, text: 'Error: gone' });
  });

  it('asks no endpoint when the gate opens after the connection has gone', async () => {
    let openGate = (): void => undefined;
    node.faults.confirmLate(new Promise<void>((resolve) => (openGate = resolve)));
    const { client, open } = await connect(node);
    const pending = refusal(open('127.0.0.1', endpoint.port));
    await node.until(({ pendingOpens }) => pendingOpens === 1);
    client.end();
    await pending;
    await node.until(({ connections }) => connections === 0);
    let asked = 0;
    endpoint.server.on('connection', () => (asked += 1));
    openGate();
    node.faults.reset();
    const { open: openOther } = await connect(node);
    await openOther('127.0.0.1', endpoint.port);
    expect(asked).to.equal(1);
  });

  it('rejects the key, and knows it again after a reset', async () => {
    node.faults.rejectKey();
    const refused = begin(node);
    await refused.closed;
    expect(refused.errors[0]).to.include({ level: 'client-authentication' });
    expect(node).to.include({ handshakes: 1 });
    node.faults.reset();
    await connect(node);
  });

  it('stalls the handshake after its identification', async () => {
    node.faults.stallHandshake();
    const socket = tcp(node);
    expect((await read(socket, 9)).toString()).to.match(/^SSH-2\.0-[^-\s]+\r\n$/);
    const peer = begin(node);
    await node.until(({ connections }) => connections === 2);
    expect(node.handshakes).to.equal(0);
    peer.client.destroy();
    socket.destroy();
    await node.until(({ connections }) => connections === 0);
  });

  it('stays silent', async () => {
    node.faults.silent();
    const socket = tcp(node);
    let received = 0;
    socket.on('data', (chunk) => (received += chunk.length));
    await node.until(({ connections }) => connections === 1);
    socket.end('SSH-2.0-test\r\n');
    await once(socket, 'close');
    expect(received).to.equal(0);
  });

  it('sends a banner that is no identification, once', async () => {
    node.faults.banner('HTTP/1.1 400 Bad Request\r\n\r\n');
    const socket = tcp(node);
    const received = readAll(socket);
    await node.until(({ connections }) => connections === 1);
    socket.end('SSH-2.0-test\r\n');
    expect((await received).toString()).to.equal('HTTP/1.1 400 Bad Request\r\n\r\n');
  });

  it('sends banner lines without end', async () => {
    node.faults.banner('please wait\r\n', { endless: true });
    const socket = tcp(node);
    const received = await read(socket, 10_000);
    expect(received.toString()).to.match(/^(please wait\r\n){700}/);
    socket.destroy();
    await node.until(({ connections }) => connections === 0);
  });

  it('keeps connections that are open as they are when a handshake fault is set', async () => {
    const { open } = await connect(node);
    node.faults.silent();
    node.faults.rejectKey();
    await open('127.0.0.1', endpoint.port);
  });

  it('shows what is switched on', () => {
    node.faults.refuse({ reason: 4 });
    node.faults.stallHandshake();
    node.faults.rejectKey();
    expect(node.faults.open).to.deep.equal({ kind: 'refuse', reason: 4, description: 'open failed' });
    expect(node.faults.handshake).to.deep.equal({ kind: 'stall', ident: true });
    expect(node.faults.keysRejected).to.equal(true);
    node.faults.reset();
    expect(node.faults.open).to.deep.equal({ kind: 'none' });
    expect(node.faults.handshake).to.deep.equal({ kind: 'none' });
    expect(node.faults.keysRejected).to.equal(false);
  });

  it('refuses wrong arguments', () => {
    const { faults } = node;
    const wrong: [() => void, string][] = [
      [() => faults.refuse({ reason: 5 as 4 }), 'refuse.reason'],
      [() => faults.refuse({ reason: 1, description: 7 as unknown as string }), 'refuse.description'],
      [() => faults.confirmLate(-1), 'confirmLate'],
      [() => faults.confirmLate(undefined as unknown as number), 'confirmLate'],
      [() => faults.banner(''), 'banner.text'],
      [() => faults.banner('x', { endless: 1 as unknown as boolean }), 'banner.endless'],
    ];
    for (const [act, option] of wrong) {
      expect(act).to.throw(InvalidOptionError).with.property('option', option);
    }
    expect(faults.open).to.deep.equal({ kind: 'none' });
  });
});
