import { expect } from 'chai';
import { createHash, randomBytes } from 'node:crypto';
import { type SshNode, startSshNode } from '../../lib/testing/index.js';
import { connect, echo, readAll, startEndpoint, type TestEndpoint } from './peer.js';

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

describe('testing: rekey of an SSH node', () => {
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

  it('resolves when both sides have exchanged keys', async () => {
    const { client } = await connect(node);
    let exchanges = 0;
    client.on('handshake', () => (exchanges += 1));
    await node.rekey();
    await node.rekey();
    expect(node).to.include({ handshakes: 1, rekeys: 2 });
    // The node is done when it has the client's NEWKEYS, and the client has sent them last.
    expect(exchanges).to.equal(2);
  });

  it('leaves data in flight as it was, both ways', async () => {
    const { open } = await connect(node);
    const sent = [0, 1, 2, 3].map(() => randomBytes(4 * 1024 * 1024));
    const transfers = sent.map(async (bytes) => {
      const channel = await open('127.0.0.1', endpoint.port);
      channel.end(bytes);
      return readAll(channel);
    });
    const progress = { done: false };
    const received = Promise.all(transfers).finally(() => (progress.done = true));
    const rekeying = (async () => {
      while (!progress.done) await node.rekey();
    })();
    expect((await received).map(sha256)).to.deep.equal(sent.map(sha256));
    await rekeying;
    expect(node.rekeys).to.be.above(1);
  });

  it('rekeys each connection, and opens channels meanwhile', async () => {
    const peers = await Promise.all([connect(node), connect(node)]);
    const rekeyed = node.rekey();
    const channels = await Promise.all(peers.map(({ open }) => open('127.0.0.1', endpoint.port)));
    await rekeyed;
    expect(channels).to.have.length(2);
    expect(node.rekeys).to.equal(2);
  });

  it('rejects when a connection is lost meanwhile', async () => {
    await connect(node);
    node.pause();
    const outcome = node.rekey().catch((error: unknown) => String(error));
    node.cut('rst');
    expect(await outcome).to.match(/lost before the key exchange was done/);
  });

  it('has nothing to do without a connection that is logged in', async () => {
    await node.rekey();
    expect(node.rekeys).to.equal(0);
  });
});
