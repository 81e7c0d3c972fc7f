import { expect } from 'chai';
import { createRequire } from 'node:module';
import { once } from 'node:events';
import ssh2, { type Client } from 'ssh2';
import type { SshNode } from '../../lib/testing/index.js';
import {
  isExchangingKeys,
  rawChannel,
  remoteSoftware,
  type RawChannel,
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

  /** `push` has to be replaced in the very callback: data may come in the packet that confirms. */
  const open = (port: number, push?: (raw: RawChannel, chunk: Buffer | null) => void): Promise<RawChannel> =>
    new Promise((resolve, reject) => {
      client.forwardOut('127.0.0.1', 0, '127.0.0.1', port, (error: Error | undefined, channel) => {
        if (error !== undefined) {
          reject(error);
          return;
        }
        const raw = rawChannel(channel);
        if (push !== undefined) {
          raw.push = (chunk) => {
            push(raw, chunk);
            return true;
          };
        }
        resolve(raw);
      });
    });

  it('is of the version that this was written for', () => {
    const { version } = createRequire(import.meta.url)('ssh2/package.json') as { version: string };
    expect(version).to.match(/^1\.17\./);
  });

  it('says which software the peer runs', () => {
    expect(remoteSoftware(client)).to.equal('OpenSSH_9.2p1');
    expect(remoteSoftware(new ssh2.Client())).to.equal('');
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

  it('opens channels with a window of 2 MiB in both directions that is known to us', async () => {
    const endpoint = await lab.endpoint();
    const raw = await open(endpoint.port);
    expect(raw.incoming).to.include({ window: 2 * 1024 * 1024, state: 'open' });
    expect(raw.outgoing).to.include({ window: 2 * 1024 * 1024, state: 'open', packetSize: 32 * 1024 });
  });

  it('pushes data, then null with the state eof, then null with the state closed', async () => {
    const endpoint = await lab.endpoint((socket) => socket.end('all'));
    const events: string[] = [];
    const raw = await open(endpoint.port, ({ incoming }, chunk) => {
      events.push(chunk === null ? incoming.state : chunk.toString());
    });
    await until('EOF', () => events.includes('eof'));
    raw.eof();
    await until('CLOSE', () => events.includes('closed'));
    expect(events).to.deep.equal(['all', 'eof', 'closed']);
  });

  it('pushes null with the state closed when the connection goes', async () => {
    const endpoint = await lab.endpoint();
    const events: string[] = [];
    await open(endpoint.port, ({ incoming }) => void events.push(incoming.state));
    node.cut('rst');
    await until('the end', () => events.length > 0);
    expect(events).to.deep.equal(['closed']);
  });

  it('calls back a write when all of it is sent, and stops at the end of the window', async () => {
    const endpoint = await lab.endpoint((socket) => socket.pause());
    const raw = await open(endpoint.port);
    let done = 0;
    raw._write(Buffer.alloc(1024 * 1024), 'buffer', () => (done += 1));
    expect([done, raw.outgoing.window]).to.deep.equal([1, 1024 * 1024]);
    raw.outgoing.window = 10;
    raw._write(Buffer.alloc(11), 'buffer', () => (done += 1));
    expect([done, raw.outgoing.window]).to.deep.equal([1, 0]);
  });

  it('sends no WINDOW_ADJUST for a window that is larger than it ever was', async () => {
    const endpoint = await lab.endpoint((socket) => void socket.write(Buffer.alloc(3 * 1024 * 1024)));
    let received = 0;
    const raw = await open(endpoint.port, (_raw, chunk) => void (received += chunk?.length ?? 0));
    const { _protocol: protocol } = client as unknown as {
      _protocol: { channelWindowAdjust: (...args: unknown[]) => void };
    };
    let adjusted = 0;
    const original = protocol.channelWindowAdjust.bind(protocol);
    protocol.channelWindowAdjust = (...args) => {
      adjusted += 1;
      original(...args);
    };
    await until('an adjustment', () => adjusted > 0);
    raw.incoming.window = Number.MAX_SAFE_INTEGER;
    const before = adjusted;
    await until('all of it', () => received === 3 * 1024 * 1024);
    expect(adjusted).to.equal(before);
  });

  it('sends EOF and CLOSE once each', async () => {
    const endpoint = await lab.endpoint();
    const raw = await open(endpoint.port);
    for (const act of ['eof', 'eof', 'close', 'close'] as const) raw[act]();
    expect(raw.outgoing.state).to.equal('closing');
    await node.until(({ channels }) => channels === 0);
    await until('CLOSE', () => raw.incoming.state === 'closed');
    expect(node.connections).to.equal(1);
  });

  it('takes a request to cancel a forward that does not exist, with an answer or without', async () => {
    const answered = new Promise((resolve) => client.unforwardIn('', 0, resolve));
    client.unforwardIn('', 0);
    await answered;
    expect(node.connections).to.equal(1);
  });

  it('throws when asked for a channel or a request on a connection that has ended', async () => {
    client.end();
    expect(() => client.forwardOut('127.0.0.1', 0, 'a', 1, () => undefined)).to.throw('Not connected');
    expect(() => client.unforwardIn('', 0)).to.throw('Not connected');
    await once(client, 'close');
  });
});
