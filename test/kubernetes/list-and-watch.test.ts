import { expect } from 'chai';
import { listingOf, type NodeListing } from '../../lib/fleet/node-source.js';
import type { NodeSpec } from '../../lib/fleet/node.js';
import { nodeOf, Stage } from './stage.js';

describe('kubernetesNodes: list and watch', () => {
  let stage: Stage;

  beforeEach(async () => {
    stage = await Stage.start();
    stage.server.put(nodeOf('a'), nodeOf('b'));
  });

  afterEach(() => stage.end());

  it('tells the nodes, and again when one comes, changes, goes and comes back', async () => {
    const { server } = stage;
    const followed = await stage.follow();
    expect(await followed.next()).to.equal('a,b');
    server.put(nodeOf('c'));
    expect(await followed.next()).to.equal('a,b,c');
    server.put(nodeOf('b', { status: { addresses: [{ type: 'InternalIP', address: '10.0.0.99' }] } }));
    const changed = (await followed.nextUpdate()) as NodeSpec[];
    expect(changed[1]).to.include({ name: 'b', address: '10.0.0.99' });
    server.remove('a');
    expect(await followed.next()).to.equal('b,c');
    server.put(nodeOf('a'));
    expect(await followed.next()).to.equal('b,c,a');
  });

  it('tells an empty cluster as an empty list', async () => {
    stage.server.remove('a');
    stage.server.remove('b');
    const followed = await stage.follow();
    expect(await followed.next()).to.equal('');
    stage.server.put(nodeOf('a'));
    expect(await followed.next()).to.equal('a');
  });

  it('asks for a watch as API servers like it', async () => {
    const followed = await stage.follow();
    await followed.next();
    void followed.next();
    const { query } = await stage.server.request('watch');
    expect(query).to.deep.include({ watch: 'true', allowWatchBookmarks: 'true', resourceVersion: '102' });
    expect(Number(query.timeoutSeconds)).to.be.within(300, 600);
  });

  it('tells nothing again that has not changed, such as a heartbeat', async () => {
    const followed = await stage.follow();
    await followed.next();
    const next = followed.next();
    await stage.server.request('watch');
    const heartbeat = { conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: 'now' }] };
    stage.server.put(nodeOf('a', { status: { ...nodeOf('a').status, ...heartbeat } }));
    stage.server.bookmark();
    stage.server.put(nodeOf('c'));
    expect(await next).to.equal('a,b,c');
  });

  it('tells at once what has changed while nobody asked', async () => {
    const followed = await stage.follow();
    await followed.next();
    const next = followed.next();
    await stage.server.request('watch');
    // One write is one chunk.
    const added = ['c', 'd', 'e'].map((name) => JSON.stringify({ type: 'ADDED', object: nodeOf(name) }));
    stage.server.tell(`${added.join('\n')}\n`);
    expect(await next).to.equal('a,b,c,d,e');
  });

  it('lists page by page', async () => {
    const { server } = stage;
    server.put(...['c', 'd', 'e'].map((name) => nodeOf(name)));
    server.pageSize = 2;
    const followed = await stage.follow();
    expect(await followed.next()).to.equal('a,b,c,d,e');
    expect(server.asked.map(({ query }) => query.continue)).to.deep.equal([undefined, '2', '4']);
    expect(server.asked.map(({ query }) => Number(query.limit) > 0)).to.deep.equal([true, true, true]);
  });

  it('begins the next watch where one has ended, by an event or a bookmark, and tells no error', async () => {
    const { server } = stage;
    const followed = await stage.follow();
    await followed.next();
    server.put(nodeOf('c'));
    expect(await followed.next()).to.equal('a,b,c');
    const next = followed.next();
    server.endWatches();
    expect((await server.request('watch', 2)).query.resourceVersion).to.equal('103');
    server.bookmark();
    server.endWatches();
    expect((await server.request('watch', 3)).query.resourceVersion).to.equal('104');
    // Both in one piece: the next watch begins after the last of them.
    const event = (name: string, resourceVersion: string): string => {
      const object = nodeOf(name, { metadata: { name, resourceVersion } });
      return `${JSON.stringify({ type: 'ADDED', object })}\n`;
    };
    server.tell(event('d', '105') + event('e', '106'));
    expect(await next).to.equal('a,b,c,d,e');
    void followed.next();
    server.endWatches();
    expect((await server.request('watch', 4)).query.resourceVersion).to.equal('106');
    expect(server.asked.filter(({ kind }) => kind === 'list')).to.have.length(1);
  });

  it('misses nothing that happens between a list and its watch, or between two watches', async () => {
    const { server } = stage;
    const followed = await stage.follow();
    expect(await followed.next()).to.equal('a,b');
    server.put(nodeOf('c'));
    expect(await followed.next()).to.equal('a,b,c');
    server.endWatches();
    server.remove('a');
    expect(await followed.next()).to.equal('b,c');
  });

  it('follows only the nodes with the labels asked for', async () => {
    const { server } = stage;
    const labelled = (name: string, zone: string) => nodeOf(name, { metadata: { name, labels: { zone } } });
    server.put(labelled('x', '1'), labelled('y', '2'));
    const followed = await stage.follow({ labelSelector: 'zone=1' });
    expect(await followed.next()).to.equal('x');
    server.put(labelled('y', '1'));
    expect(await followed.next()).to.equal('x,y');
    server.put(labelled('x', '2'));
    expect(await followed.next()).to.equal('y');
  });

  it('leaves a node out that cannot be used, and tells the others', async () => {
    const { server } = stage;
    const wrong = (name: string) =>
      nodeOf(name, { metadata: { name, annotations: { 'tunnel-dialer/ssh-host-key': 'nonsense' } } });
    server.put(wrong('b'), nodeOf('c', { status: { addresses: [] } }));
    const followed = await stage.follow();
    const { nodes, leftOut } = (await followed.nextUpdate()) as NodeListing;
    expect(nodes.map(({ name }) => name)).to.deep.equal(['a']);
    expect(leftOut.map(({ name, isKept }) => [name, isKept])).to.deep.equal([
      ['b', false],
      ['c', false],
    ]);
    expect(leftOut[0]?.reason).to.include('hostKey');
    expect(leftOut[1]?.reason).to.include('no usable address of type InternalIP');
    server.put(nodeOf('b'));
    // Mended, it stands where it stood.
    expect(await followed.next()).to.equal('a,b,!c');
    server.put(nodeOf('c'));
    expect(await followed.next()).to.equal('a,b,c');
  });

  for (const how of ['a watch', 'a list'] as const) {
    it(`keeps a node as it was when ${how} tells what cannot be used, until it is gone`, async () => {
      const { server } = stage;
      const annotated = (port: string) =>
        nodeOf('b', { metadata: { name: 'b', annotations: { 'tunnel-dialer/ssh-port': port } } });
      server.put(annotated('2222'));
      const followed = await stage.follow();
      const next = async () => {
        const { nodes, leftOut } = listingOf((await followed.nextUpdate()) as NodeSpec[] | NodeListing);
        const reasons = leftOut.map(
          ({ name, isKept = false }) => ` !${name} ${isKept ? 'kept' : 'left out'}`,
        );
        return nodes.map(({ name, port }) => `${name}:${port ?? ''}`).join() + reasons.join();
      };
      expect(await next()).to.equal('a:,b:2222');
      const told = next();
      await server.request('watch');
      if (how === 'a list') server.endWatches();
      server.put(annotated('2O22'));
      if (how === 'a list') server.compact();
      expect(await told).to.equal('a:,b:2222 !b kept');
      server.put(annotated('2223'));
      expect(await next()).to.equal('a:,b:2223');
      server.remove('b');
      expect(await next()).to.equal('a:');
      server.put(annotated('none'));
      expect(await next()).to.equal('a: !b left out');
      server.remove('b');
      expect(await next()).to.equal('a:');
    });
  }
});
