import { expect } from 'chai';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import ssh2, { type Client } from 'ssh2';
import type { PacketCipher } from '../../lib/ssh/data-packets.js';
import type { SshNode } from '../../lib/testing/index.js';
import {
  identifier,
  isExchangingKeys,
  keepLess,
  remoteSoftware,
  shareOffer,
  takeOverChannels,
  type ChannelMessages,
  type OpenConfirmation,
} from '../../lib/ssh/ssh2-internals.js';
import { Lab, until } from '../support/dialer.js';

/*
 * What lib/ssh relies on below ssh2's public API. When one of these fails after an update of ssh2, read what has changed there before
 * anything else.
 */
describe('ssh2 below its public API', () => {
  let lab: Lab;
  let node: SshNode;
  let client: Client;

  beforeEach(async () => {
    lab = new Lab();
    node = await lab.node({ ident: 'OpenSSH_9.2p1' });
    client = new ssh2.Client();
    client.on('error', () => undefined);
    const { address, port } = node.spec;
    const { username, privateKey } = node.ssh;
    client.connect({ host: address, port, username, privateKey });
    lab.onEnd(() => client.end());
    await once(client, 'ready');
  });

  afterEach(async () => {
    await lab.end();
  });

  /** Another client of the node, and what is done to it right after `connect`. */
  async function connect(afterConnect: (client: Client) => void): Promise<Client> {
    const other = new ssh2.Client();
    other.on('error', () => undefined);
    const { address, port } = node.spec;
    const { username, privateKey } = node.ssh;
    other.connect({ host: address, port, username, privateKey, algorithms: { cipher: ['aes128-ctr'] } });
    afterConnect(other);
    lab.onEnd(() => other.end());
    await once(other, 'ready');
    return other;
  }

  interface Innards {
    readonly _offer: unknown;
    readonly _cipher: PacketCipher;
    readonly _kex: { readonly _keys: unknown };
    readonly _remoteIdentRaw: Buffer;
    readonly _handlers: Record<string, unknown>;
  }

  const innardsOf = (other: Client): Innards => (other as unknown as { _protocol: Innards })._protocol;

  /** Takes the channels over; every message of the peer's is noted, the confirmation resolves. */
  function takeOver() {
    const events: string[] = [];
    let confirm: (info: OpenConfirmation) => void = () => undefined;
    const confirmed = new Promise<OpenConfirmation>((resolve) => (confirm = resolve));
    const note = (event: string) => void events.push(event);
    const messages = takeOverChannels(client, {
      CHANNEL_OPEN_CONFIRMATION: (_, info) => confirm(info),
      CHANNEL_OPEN_FAILURE: (_, id, reason, description) => note(`${id} refused ${reason} ${description}`),
      CHANNEL_WINDOW_ADJUST: (_, id, bytes) => note(`${id} room ${bytes}`),
      CHANNEL_DATA: (_, id, data) => note(`${id} data ${data.toString()}`),
      CHANNEL_EXTENDED_DATA: (_, id) => note(`${id} extended`),
      CHANNEL_EOF: (_, id) => note(`${id} eof`),
      CHANNEL_CLOSE: (_, id) => note(`${id} close`),
      CHANNEL_REQUEST: (_, id, type, wantsReply) => note(`${id} request ${type} ${wantsReply}`),
    });
    return { events, messages, confirmed };
  }

  const dial = (messages: ChannelMessages, id: number, port: number, windowBytes = 1000): void =>
    messages.directTcpip(id, windowBytes, 100, {
      srcIP: '127.0.0.1',
      srcPort: 0,
      dstIP: '127.0.0.1',
      dstPort: port,
    });

  it('is of the version that this was written for', () => {
    const { version } = createRequire(import.meta.url)('ssh2/package.json') as { version: string };
    expect(version).to.match(/^1\.17\./);
  });

  it('says which software the peer runs', () => {
    expect(remoteSoftware(client)).to.equal('OpenSSH_9.2p1');
    expect(remoteSoftware(new ssh2.Client())).to.equal('');
  });

  it('identifies us by the name we give, which the node signs', async () => {
    const lines: string[] = [];
    const listener = await lab.endpoint((socket) => {
      socket.on('data', (data) => lines.push(data.toString()));
    });
    const other = new ssh2.Client();
    other.on('error', () => undefined);
    other.connect({ host: '127.0.0.1', port: listener.port, username: 'nobody' });
    identifier('somebody')(other);
    await until('a line', () => lines.length > 0);
    expect(lines).to.deep.equal(['SSH-2.0-somebody\r\n']);
    other.destroy();

    await connect(identifier('somebody'));
  });

  it('shares the offer of connections that offer the same, and of no others', async () => {
    const [one, two] = [await connect(shareOffer), await connect(shareOffer)];
    expect(innardsOf(one)._offer).to.equal(innardsOf(two)._offer);
    shareOffer(client);
    expect(innardsOf(client)._offer).to.not.equal(innardsOf(one)._offer);
  });

  it('forgets the keys of a key exchange that is over, and exchanges others when asked', async () => {
    const other = await connect(keepLess);
    expect(innardsOf(other)._kex).to.have.property('_keys', undefined);
    expect(innardsOf(other)._remoteIdentRaw.toString()).to.equal('SSH-2.0-OpenSSH_9.2p1');
    expect(innardsOf(other)._remoteIdentRaw.buffer.byteLength).to.be.lessThan(100);
    expect(innardsOf(client)._kex._keys, 'what ssh2 keeps').to.be.an('object');
    const over = once(other, 'handshake');
    await node.rekey();
    await over;
    expect(innardsOf(other)._kex).to.have.property('_keys', undefined);
  });

  it('leaves ssh2 what a connection needs after the login', () => {
    takeOver();
    const { _handlers: handlers } = innardsOf(client);
    const left = Object.keys(handlers).filter((name) => !name.startsWith('CHANNEL_'));
    expect(left).to.have.members(['DISCONNECT', 'REQUEST_SUCCESS', 'REQUEST_FAILURE', 'GLOBAL_REQUEST']);
    for (const name of left) expect(handlers[name], name).to.be.a('function');
  });

  it('says whether keys are being exchanged, and emits handshake when that is over', async () => {
    expect(isExchangingKeys(client)).to.equal(false);
    let seen = false;
    const { _sock: socket } = client as unknown as { _sock: NodeJS.EventEmitter };
    socket.on('data', () => (seen ||= isExchangingKeys(client)));
    const over = once(client, 'handshake').then(() => isExchangingKeys(client));
    await node.rekey();
    expect(await over).to.equal(false);
    expect(seen).to.equal(true);
  });

  it('has a cipher that makes packets, another one when keys have been exchanged', async () => {
    const ciphers = [await connect(() => undefined), client].map((other) => ({
      other,
      first: innardsOf(other)._cipher,
    }));
    takeOver();
    for (const { other, first } of ciphers) {
      expect(Object.getPrototypeOf(first)).to.have.property('allocPacket').that.is.a('function');
      expect(Object.hasOwn(first, 'allocPacket')).to.equal(other === client);
    }
    const over = once(client, 'handshake');
    await node.rekey();
    await over;
    const { _cipher: second } = innardsOf(client);
    expect(second).to.not.equal(ciphers[1]?.first);
    expect(Object.hasOwn(second, 'allocPacket')).to.equal(true);
    for (let payloadBytes = 1; payloadBytes < 100; payloadBytes += 1) {
      const unpooled = Object.create(second, {
        allocPacket: {
          value: Reflect.get(Object.getPrototypeOf(second) as object, 'allocPacket') as unknown,
        },
      }) as PacketCipher;
      const [own, pooled] = [unpooled.allocPacket(payloadBytes), second.allocPacket(payloadBytes)];
      expect(pooled).to.have.length(own.length);
      expect(pooled.subarray(0, 5)).to.deep.equal(own.subarray(0, 5));
    }
  });

  it("opens channels under our numbers and tells of the peer's number, room and packets", async () => {
    const endpoint = await lab.endpoint();
    const { messages, confirmed } = takeOver();
    dial(messages, 4711, endpoint.port);
    const info = await confirmed;
    expect(info).to.include({ recipient: 4711, window: 2 * 1024 * 1024, packetSize: 32 * 1024 });
    expect(info.sender).to.be.a('number');
  });

  it('tells why a channel was refused', async () => {
    node.faults.refuse({ reason: 1, description: 'not here' });
    const { events, messages } = takeOver();
    dial(messages, 5, 1);
    await until('an answer', () => events.length > 0);
    expect(events).to.deep.equal(['5 refused 1 not here']);
  });

  it('sends and receives data, room, EOF and CLOSE', async () => {
    let received = '';
    const endpoint = await lab.endpoint((socket) => {
      socket.on('data', (data) => (received += data.toString()));
      socket.end('0123456789');
    });
    const { events, messages, confirmed } = takeOver();
    dial(messages, 3, endpoint.port, 4);
    const { sender } = await confirmed;
    await until('what the window takes', () => events.length > 0);
    expect(events).to.deep.equal(['3 data 0123']);
    messages.channelWindowAdjust(sender, 6);
    messages.channelData(sender, Buffer.from('question'));
    messages.channelEOF(sender);
    await until('the end', () => events.includes('3 eof'));
    expect(events.slice(0, 2)).to.deep.equal(['3 data 0123', '3 data 456789']);
    await until('the question', () => received === 'question');
    messages.channelClose(sender);
    await until('CLOSE', () => events.includes('3 close'));
    await node.until(({ channels }) => channels === 0);
  });

  it('takes a request to cancel a forward that does not exist, with an answer or without', async () => {
    const answered = new Promise((resolve) => client.unforwardIn('', 0, resolve));
    client.unforwardIn('', 0);
    await answered;
    expect(node.connections).to.equal(1);
  });

  it('throws when asked for a request on a connection that has ended', async () => {
    client.end();
    expect(() => client.unforwardIn('', 0)).to.throw('Not connected');
    await once(client, 'close');
  });
});
