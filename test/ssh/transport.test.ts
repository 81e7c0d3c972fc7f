import { expect } from 'chai';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { DataPackets, type PacketCipher } from '../../lib/ssh/data-packets.js';
import { Transport } from '../../lib/ssh/transport.js';
import { Lab, read, readAll, silent, turn, until } from '../support/dialer.js';

/** How often the stream hands data to the kernel: `_write` and `_writev` are the calls below the stream. */
function countHandOvers(socket: Duplex): () => number {
  let count = 0;
  const inner = socket as unknown as Record<'_write' | '_writev', (...args: unknown[]) => unknown>;
  for (const name of ['_write', '_writev'] as const) {
    const original = inner[name].bind(socket);
    inner[name] = (...args) => {
      count += 1;
      return original(...args);
    };
  }
  return () => count;
}

/** Still in the same round of the event loop. */
const endOfTurn = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));

describe('Transport', () => {
  let lab: Lab;

  beforeEach(() => {
    lab = new Lab();
  });

  afterEach(async () => {
    await lab.end();
  });

  async function connect(port: number): Promise<{ transport: Transport; socket: Duplex }> {
    const transport = Transport.connect('127.0.0.1', port);
    const { stream: socket } = transport;
    lab.onEnd(() => socket.destroy());
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return { transport, socket };
  }

  it('hands the first small packet of a turn to the kernel at once, and the others in one call, in order', async () => {
    const endpoint = await lab.endpoint();
    const { socket } = await connect(endpoint.port);
    const handOvers = countHandOvers(socket);
    socket.write(Buffer.from('0'));
    expect(handOvers()).to.equal(1);
    for (let number = 1; number < 10; number += 1) socket.write(Buffer.from(String(number)));
    expect(handOvers()).to.equal(1);
    expect((await read(socket, 10)).toString()).to.equal('0123456789');
    expect(handOvers()).to.equal(2);
  });

  it('hands all of a turn over in one call after one with more than two packets, until a turn is quiet again', async () => {
    const endpoint = await lab.endpoint();
    const { socket } = await connect(endpoint.port);
    const handOvers = countHandOvers(socket);
    const handOversOf = async (packets: number): Promise<number> => {
      const before = handOvers();
      for (let packet = 0; packet < packets; packet += 1) socket.write(Buffer.from('x'));
      await read(socket, packets);
      return handOvers() - before;
    };
    expect(await handOversOf(2)).to.equal(2);
    expect(await handOversOf(3)).to.equal(2);
    expect(await handOversOf(3)).to.equal(1);
    expect(await handOversOf(2)).to.equal(1);
    expect(await handOversOf(2)).to.equal(2);
  });

  it('hands large packets of one turn to the kernel in one call', async () => {
    const endpoint = await lab.endpoint();
    const { socket } = await connect(endpoint.port);
    const handOvers = countHandOvers(socket);
    for (const letter of ['a', 'b']) socket.write(Buffer.alloc(1025, letter));
    expect((await read(socket, 2050)).toString()).to.equal('a'.repeat(1025) + 'b'.repeat(1025));
    expect(handOvers()).to.equal(1);
  });

  it('hands over again in the next turn', async () => {
    const endpoint = await lab.endpoint();
    const { socket } = await connect(endpoint.port);
    const handOvers = countHandOvers(socket);
    socket.write(Buffer.from('a'));
    await turn();
    socket.write(Buffer.from('b'));
    expect((await read(socket, 2)).toString()).to.equal('ab');
    expect(handOvers()).to.equal(2);
  });

  it('hands small turns that follow in one round of the event loop over in one call, in order', async () => {
    const endpoint = await lab.endpoint();
    const { socket } = await connect(endpoint.port);
    const handOvers = countHandOvers(socket);
    for (const letter of 'abcde') {
      socket.write(Buffer.from(letter));
      await endOfTurn();
    }
    expect(handOvers()).to.equal(1);
    expect((await read(socket, 5)).toString()).to.equal('abcde');
    expect(handOvers()).to.equal(2);
  });

  it('does not have 16 KiB of a later turn wait for the end of the round', async () => {
    const endpoint = await lab.endpoint(silent);
    const { socket } = await connect(endpoint.port);
    const handOvers = countHandOvers(socket);
    for (const bytes of [1, 8 * 1024, 8 * 1024, 1]) {
      socket.write(Buffer.alloc(bytes));
      await endOfTurn();
    }
    expect(handOvers()).to.equal(2);
    await turn();
    expect(handOvers()).to.equal(3);
  });

  it('asks to wait when 64 KiB wait in our process, and emits drain', async () => {
    const endpoint = await lab.endpoint(silent);
    const { socket } = await connect(endpoint.port);
    expect(socket.write(Buffer.alloc(64 * 1024 - 1))).to.equal(true);
    expect(socket.write(Buffer.alloc(1))).to.equal(false);
    await once(socket, 'drain');
    expect(socket.writableLength).to.equal(0);
  });

  it('flushes what was written in the same turn when it is ended', async () => {
    const endpoint = await lab.endpoint();
    const { socket } = await connect(endpoint.port);
    socket.write(Buffer.from('a'));
    socket.end('b');
    expect((await readAll(socket)).toString()).to.equal('ab');
  });

  it('knows of a FIN before it says end', async () => {
    const endpoint = await lab.endpoint(silent);
    const accepted = endpoint.next();
    const { transport, socket } = await connect(endpoint.port);
    expect(transport.takesMore).to.equal(true);
    socket.pause();
    let ended = false;
    socket.once('end', () => (ended = true));
    (await accepted).end('last');
    socket.resume();
    socket.once('data', () => socket.pause());
    await until('FIN', () => !transport.takesMore || ended);
    expect(transport.takesMore).to.equal(false);
  });

  it('takes no more, and says of nothing that it has left, when it is destroyed', async () => {
    const endpoint = await lab.endpoint(silent);
    const { transport, socket } = await connect(endpoint.port);
    socket.destroy();
    expect(transport.takesMore).to.equal(false);
    transport.whenFlushed(() => expect.fail('nothing leaves any more'));
  });

  it('does not delay small packets', async () => {
    const calls: unknown[] = [];
    const endpoint = await lab.endpoint(silent);
    const { stream: socket } = Transport.connect('127.0.0.1', endpoint.port);
    lab.onEnd(() => socket.destroy());
    const { _handle: handle } = socket as unknown as { _handle: { setNoDelay: (on: boolean) => unknown } };
    const original = handle.setNoDelay.bind(handle);
    handle.setNoDelay = (on) => {
      calls.push(on);
      return original(on);
    };
    await once(socket, 'connect');
    expect(calls).to.deep.equal([true]);
  });

  it('tells when what was written has left the process, and not before', async () => {
    const endpoint = await lab.endpoint(silent);
    const { transport, socket } = await connect(endpoint.port);
    const events: string[] = [];
    socket.write(Buffer.alloc(2000));
    transport.whenFlushed(() => events.push(`first, ${socket.writableLength} left`));
    socket.write(Buffer.alloc(2000));
    transport.whenFlushed(() => events.push('second'));
    expect(events).to.deep.equal([]);
    await until('the flush', () => events.length === 2);
    expect(events).to.deep.equal(['first, 0 left', 'second']);
    transport.whenFlushed(() => events.push('at once'));
    expect(events).to.have.length(3);
  });

  it('dies when so much waits that the peer must have stopped reading on purpose', async () => {
    const endpoint = await lab.endpoint((peer) => peer.pause());
    const { socket } = await connect(endpoint.port);
    const errored = once(socket, 'error') as Promise<[Error]>;
    let hasDied = false;
    socket.once('error', () => (hasDied = true));
    await until('its death', () => {
      for (let times = 0; times < 64; times += 1) socket.write(Buffer.alloc(32 * 1024));
      return hasDied;
    });
    expect((await errored)[0].message).to.include('does not read');
  });

  it('never tells it of what a dead connection has kept', async () => {
    const endpoint = await lab.endpoint((peer) => peer.pause());
    const { transport, socket } = await connect(endpoint.port);
    socket.on('error', () => undefined);
    let told = false;
    do {
      socket.write(Buffer.alloc(1 << 20));
      await turn();
    } while (socket.writableLength === 0);
    transport.whenFlushed(() => (told = true));
    socket.destroy();
    await once(socket, 'close');
    await turn();
    expect(told).to.equal(false);
  });

  describe('and packets that are used again', () => {
    /** Of a size that no other test sends, because packets that are spare are those of the whole process. */
    const DATA = Buffer.alloc(77_777);

    /** Writes packets to a stream as a cipher does that encrypts in place. */
    function packetsTo(stream: Duplex) {
      const written: Buffer[] = [];
      const cipher: PacketCipher = {
        allocPacket: (payloadBytes) => Buffer.alloc(5 + payloadBytes),
        encrypt: (packet) => {
          written.push(packet);
          stream.write(packet);
        },
      };
      const packets = new DataPackets();
      return { written, send: () => packets.send(cipher, 0, DATA) };
    }

    it('takes them back when they have left the process, and not before', async () => {
      const endpoint = await lab.endpoint(silent);
      const { transport, socket } = await connect(endpoint.port);
      const { written, send } = packetsTo(socket);
      send();
      send();
      expect(new Set(written).size).to.equal(2);
      await new Promise<void>((resolve) => transport.whenFlushed(resolve));
      send();
      send();
      expect(new Set(written).size).to.equal(2);
    });

    it('takes none back that a dead connection has kept', async () => {
      const endpoint = await lab.endpoint((peer) => peer.pause());
      const { socket } = await connect(endpoint.port);
      const { written, send } = packetsTo(socket);
      do {
        for (let times = 0; times < 4; times += 1) send();
        await turn();
      } while (socket.writableLength === 0);
      const kept = written.slice(-Math.ceil(socket.writableLength / DATA.length));
      socket.destroy();
      await once(socket, 'close');
      await turn();
      const other = await lab.endpoint(silent);
      const { socket: next } = await connect(other.port);
      const after = packetsTo(next);
      for (let times = 0; times < 12; times += 1) after.send();
      for (const packet of kept) expect(after.written).to.not.include(packet);
    });
  });
});
