import { expect } from 'chai';
import { down, FakeDialer, nodeStatus } from './fake-dialer.js';
import { Site } from './site.js';

describe('statusHandler: readiness', () => {
  let dialer: FakeDialer;
  let site: Site;

  beforeEach(async () => {
    dialer = new FakeDialer();
    site = await Site.start(dialer, { staleAfterMs: 60_000 });
  });

  afterEach(() => site.end());

  const refused = async (): Promise<string> => {
    const { status, body } = await site.get('/readyz');
    expect(status, body).to.equal(503);
    return body;
  };
  const ready = async (): Promise<void> => {
    const { status, body } = await site.get('/readyz');
    expect(body).to.equal('ok\n');
    expect(status).to.equal(200);
  };
  const ago = (ms: number): Date => new Date(Date.now() - ms);

  it('is there with one usable node', async () => {
    for (const state of ['ready', 'degraded', 'idle'] as const) {
      dialer.nodes = [nodeStatus('a', down), nodeStatus('b', { state })];
      await ready();
    }
  });

  it('is not there while no node is ready, and says how they are', async () => {
    dialer.nodes = [nodeStatus('a', down), nodeStatus('b', down), nodeStatus('c', { state: 'connecting' })];
    expect(await refused()).to.equal('no node is ready: 2 down, 1 connecting\n');
    dialer.nodes = [];
    expect(await refused()).to.equal('there are no nodes\n');
  });

  it('says why, when there are no nodes because the source has left them out', async () => {
    dialer.nodes = [];
    const first = [{ name: 'a', reason: 'it has no usable address' }];
    dialer.source = { name: 'cluster', state: 'current', leftOut: { count: 3, first } };
    expect(await refused()).to.equal('there are no nodes: 3 left out, such as a: it has no usable address\n');
  });

  it('takes no bastion for a node', async () => {
    dialer.nodes = [nodeStatus('a', down), nodeStatus('b', { state: 'ready', bastion: true })];
    expect(await refused()).to.equal('no node is ready: 1 down\n');
  });

  it('does not depend on a source that fails until it has failed for long', async () => {
    const failure = { message: 'ENOENT: no such\u001b[2J file', since: ago(50_000) };
    dialer.source = { name: 'file /etc/nodes', state: 'stale', updatedAt: ago(3_600_000), failure };
    await ready();
    dialer.source = { ...dialer.source, failure: { ...failure, since: ago(61_500) } };
    expect(await refused()).to.equal(
      'the source of the nodes (file /etc/nodes) has been failing for 61 s: ENOENT: no such\\u001b[2J file\n',
    );
  });

  it('is not there before the source has told nodes', async () => {
    dialer.nodes = [];
    dialer.source = { name: 'file /etc/nodes', state: 'waiting' };
    expect(await refused()).to.equal('the source of the nodes (file /etc/nodes) has told none yet\n');
    dialer.source = { ...dialer.source, failure: { message: 'ENOENT', since: ago(5) } };
    expect(await refused()).to.equal('the source of the nodes (file /etc/nodes) has told none yet: ENOENT\n');
  });

  it('is not harmed by a source that has ended', async () => {
    dialer.source = { name: 'iterable', state: 'ended', updatedAt: ago(1e9) };
    await ready();
  });

  it('takes a source that has ended with a failure for one that fails', async () => {
    const failure = { message: 'it broke', since: ago(50_000) };
    dialer.source = { name: 'f', state: 'ended', failure };
    await ready();
    dialer.source = { ...dialer.source, failure: { ...failure, since: ago(61_500) } };
    expect(await refused()).to.equal('the source of the nodes (f) has been failing for 61 s: it broke\n');
  });

  it('tells every reason', async () => {
    dialer.nodes = [nodeStatus('a', down)];
    dialer.source = { name: 'f', state: 'stale', failure: { message: 'x', since: ago(100_000) } };
    expect((await refused()).trim().split('\n')).to.have.length(2);
  });

  it('and health are over when the dialer closes', async () => {
    for (const state of ['closing', 'closed'] as const) {
      dialer.state = state;
      expect(await refused()).to.equal(`the dialer is ${state}\n`);
      const health = await site.get('/healthz');
      expect([health.status, health.body]).to.deep.equal([503, `the dialer is ${state}\n`]);
    }
  });

  it('is none of the health’s business', async () => {
    dialer.nodes = [];
    await refused();
    expect((await site.get('/healthz')).status).to.equal(200);
  });
});
