import { expect } from 'chai';
import { once } from 'node:events';
import { InvalidOptionError } from '../../lib/errors.js';
import { type SshNode, startSshNode } from '../../lib/testing/index.js';
import { connect, read, startEndpoint, type TestEndpoint } from './peer.js';

/** Window that ssh2's client gives and what it counts down (Channel.js). */
const clientWindow = 2 * 1024 * 1024;

interface Halves {
  readonly incoming: { readonly window: number; readonly state: string };
  readonly outgoing: { readonly window: number };
}

describe('testing: hostility of an SSH node', () => {
  let node: SshNode;
  let endpoint: TestEndpoint;

  beforeEach(async () => {
    node = await startSshNode();
    endpoint = await startEndpoint((socket) => socket.resume());
  });

  afterEach(async () => {
    await node.close();
    await endpoint.close();
  });

  it('sends more than the window allows', async () => {
    const { open } = await connect(node);
    const channel = await open('127.0.0.1', endpoint.port);
    node.hostile.overflowWindow(100_000);
    const received = await read(channel, clientWindow + 100_000);
    expect(received.length).to.equal(clientWindow + 100_000);
    expect(received.every((byte) => byte === 0)).to.equal(true);
  });

  it('adjusts the window beyond what can be', async () => {
    const { open } = await connect(node);
    const channel = await open('127.0.0.1', endpoint.port);
    const { outgoing } = channel as unknown as Halves;
    const before = outgoing.window;
    node.hostile.floodWindowAdjust({ count: 3 });
    // The answer to a later open comes after the flood.
    await open('127.0.0.1', endpoint.port);
    expect(outgoing.window).to.equal(before + 3 * (2 ** 32 - 1));
  });

  it('closes channels without EOF', async () => {
    const { open } = await connect(node);
    const [socket, channel] = await Promise.all([endpoint.next(), open('127.0.0.1', endpoint.port)]);
    const { incoming } = channel as unknown as Halves;
    const states: string[] = [];
    channel.resume().on('end', () => states.push(incoming.state));
    const ended = once(socket, 'end');
    node.hostile.closeWithoutEof();
    await once(channel, 'close');
    // `eof` it would be, had EOF come first.
    expect(states).to.deep.equal(['closed']);
    await ended;
    await node.until(({ channels }) => channels === 0);
    await open('127.0.0.1', endpoint.port);
  });

  it('does nothing where no channel is open', async () => {
    node.hostile.overflowWindow();
    node.faults.silent();
    node.hostile.closeWithoutEof();
    node.hostile.floodWindowAdjust();
    node.faults.reset();
    await connect(node);
  });

  it('refuses wrong arguments', () => {
    const { hostile } = node;
    expect(() => hostile.overflowWindow(0))
      .to.throw(InvalidOptionError)
      .with.property('option', 'excessBytes');
    expect(() => hostile.floodWindowAdjust({ count: 0 }))
      .to.throw(InvalidOptionError)
      .with.property('option', 'floodWindowAdjust.count');
  });
});
