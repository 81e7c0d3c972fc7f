import { expect } from 'chai';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { Lab, turn, until } from '../../support/dialer.js';
import { FakeDialer, down, nodeStatus, thousand } from './fake-dialer.js';
import { Site } from './site.js';

const names = (data: Record<string, unknown> | undefined): string[] =>
  (data?.nodes as { name: string }[]).map(({ name }) => name);

describe('statusHandler: events', () => {
  let dialer: FakeDialer;
  let site: Site;

  beforeEach(async () => {
    dialer = new FakeDialer([nodeStatus('a'), nodeStatus('b'), nodeStatus('c')]);
    site = await Site.start(dialer, { refreshMs: 100 });
  });

  afterEach(() => site.end());

  it('begin with the whole fleet, and go on with what changes', async () => {
    const events = await site.events();
    expect(events.response.headers['content-type']).to.equal('text/event-stream; charset=utf-8');
    expect(await events.next()).to.deep.equal({
      event: 'hello',
      data: { heartbeatMs: 15_000, refreshMs: 100 },
    });
    const first = await events.next();
    expect(first?.event).to.equal('fleet');
    expect(first?.data.state).to.equal('open');
    expect(names(first?.data)).to.deep.equal(['a', 'b', 'c']);
    dialer.tell('b', down);
    const second = await events.next();
    expect(second?.event).to.equal('changes');
    expect(names(second?.data)).to.deep.equal(['b']);
  });

  it('tell of what no event tells of, and of nothing twice', async () => {
    const events = await site.events();
    await events.until('fleet');
    dialer.set('c', { roundTripMs: 7 });
    expect(names((await events.next())?.data)).to.deep.equal(['c']);
    dialer.state = 'closing';
    const next = await events.next();
    expect(next?.data).to.include({ state: 'closing' });
    expect(names(next?.data)).to.deep.equal([]);
  });

  it('tell the whole fleet again when a node has come or gone', async () => {
    const events = await site.events();
    await events.until('fleet');
    dialer.nodes = [...dialer.nodes.slice(1), nodeStatus('d')];
    expect(names((await events.until('fleet')).data)).to.deep.equal(['b', 'c', 'd']);
    dialer.nodes = dialer.nodes.slice(1);
    expect(names((await events.until('fleet')).data)).to.deep.equal(['c', 'd']);
  });

  it('tell a burst of changes together', async () => {
    const slow = await Site.start(dialer, { refreshMs: 60_000 });
    try {
      const events = await slow.events();
      await events.until('fleet');
      for (const name of ['a', 'b', 'c']) dialer.tell(name, down);
      expect(names((await events.next())?.data)).to.deep.equal(['a', 'b', 'c']);
    } finally {
      await slow.end();
    }
  });

  it('have a heartbeat in a silence', async () => {
    const beating = await Site.start(dialer, { heartbeatMs: 100 });
    try {
      const events = await beating.events();
      await events.until('fleet');
      expect((await events.next())?.event).to.equal('beat');
      expect((await events.next())?.event).to.equal('beat');
    } finally {
      await beating.end();
    }
  });

  it('watch the dialer once for all readers, and only while there are some', async () => {
    expect(dialer.watchers).to.equal(0);
    const readers = await Promise.all([1, 2, 3].map(() => site.events()));
    for (const reader of readers) await reader.until('fleet');
    expect(dialer.watchers).to.equal(2);
    for (const reader of readers) reader.response.destroy();
    await until('nobody to watch', () => dialer.watchers === 0);
    for (let round = 0; round < 20; round += 1) {
      const reader = await site.events();
      await reader.until('fleet');
      reader.response.destroy();
    }
    await until('nobody to watch', () => dialer.watchers === 0);
  });

  it('skip what a slow reader cannot take, and tell it the latest when it can', async () => {
    let response: ServerResponse | undefined;
    site.server.on('request', (_request, given) => (response ??= given));
    dialer.nodes = thousand();
    const events = await site.events();
    await events.until('fleet');
    events.response.pause();
    // Over 2 MB at a time: soon more than the kernel takes.
    const filler = 'x'.repeat(2_000);
    let round = 0;
    let held = 0;
    while (round < 15) {
      round += 1;
      const cause = { code: String(round), message: filler };
      dialer.nodes = dialer.nodes.map((node) => ({ ...node, cause }));
      const before = dialer.looks;
      await until('the handler to look', () => dialer.looks > before);
      await turn();
      held = Math.max(held, response!.writableLength);
    }
    expect(held).to.be.within(1, 3e6);
    let told = 0;
    for (let latest = ''; latest !== String(round); told += 1) {
      const { data } = await events.until('changes');
      latest = (data.nodes as { cause: { code: string } }[])[0]!.cause.code;
    }
    expect(told).to.be.below(round / 2);
  });

  it('drop a reader that takes nothing for four heartbeats', async () => {
    dialer.nodes = thousand().map((node) => ({ ...node, cause: { code: '', message: 'x'.repeat(10_000) } }));
    const impatient = await Site.start(dialer, { heartbeatMs: 100 });
    try {
      const socket = connect(impatient.port, '127.0.0.1');
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await until('a reader', () => dialer.watchers === 2);
      await until('nobody to watch', () => dialer.watchers === 0);
      socket.destroy();
    } finally {
      await impatient.end();
    }
  });

  it('are for so many readers and no more', async () => {
    const small = await Site.start(dialer, { maxStreams: 1 });
    try {
      const first = await small.events();
      await first.until('fleet');
      const second = await small.get('/events');
      expect([second.status, second.headers['retry-after']]).to.deep.equal([503, '5']);
      first.response.destroy();
      await until('a place', () => dialer.watchers === 0);
      await (await small.events()).until('fleet');
    } finally {
      await small.end();
    }
  });

  it('end with the handler, so that the server can close', async () => {
    const events = await site.events();
    await events.until('fleet');
    const closed = once(site.server, 'close');
    site.server.close();
    site.handler.close();
    await closed;
    expect(await events.next()).to.equal(undefined);
    expect(events.response.complete).to.equal(true);
    expect(dialer.watchers).to.equal(0);
  });

  it('are refused once the handler is closed; all else is still answered', async () => {
    site.handler.close();
    site.handler.close();
    expect((await site.get('/events')).status).to.equal(503);
    expect((await site.get('/healthz')).status).to.equal(200);
  });

  it('end with a dialer, which is the last that they tell', async () => {
    const lab = new Lab();
    const real = lab.dialer([await lab.node()]);
    const realSite = await Site.start(real, { refreshMs: 100 });
    try {
      await real.ready();
      const events = await realSite.events();
      await events.until('fleet');
      await real.close();
      let last = await events.next();
      for (let event = last; event !== undefined; event = await events.next()) last = event;
      expect(last?.data.state).to.equal('closed');
      expect(real.listenerCount('nodeState') + real.listenerCount('source')).to.equal(0);
    } finally {
      await realSite.end();
      await lab.end();
    }
  });
});
