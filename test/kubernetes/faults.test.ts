import { expect } from 'chai';
import { Readable } from 'node:stream';
import { textOf } from '../../lib/kubernetes/api-request.js';
import { rejection } from '../support/dialer.js';
import { hang, status, type FakeApiServer } from '../support/fake-api-server.js';
import { nodeOf, Stage } from './stage.js';

describe('kubernetesNodes: faults', () => {
  let stage: Stage;

  beforeEach(async () => {
    stage = await Stage.start();
    stage.server.put(nodeOf('a'), nodeOf('b'));
  });

  afterEach(() => stage.end());

  for (const goneAs of ['status', 'event'] as const) {
    it(`lists anew, without an error, when its version is gone: 410 as ${goneAs}`, async () => {
      const { server } = stage;
      server.goneAs = goneAs;
      const followed = await stage.follow();
      expect(await followed.next()).to.equal('a,b');
      const next = followed.next();
      await server.request('watch');
      // What happens meanwhile is in no watch any more.
      server.endWatches();
      server.remove('a');
      server.compact();
      server.put(nodeOf('c'));
      expect(await next).to.equal('b,c');
      expect(server.asked.map(({ kind }) => kind)).to.deep.equal(['list', 'watch', 'watch', 'list']);
    });
  }

  it('says so when the list itself is gone, as between two pages', async () => {
    const followed = await stage.follow();
    stage.server.fail('list', status(410, 'The provided continue parameter is too old'));
    expect(await followed.next()).to.equal(
      'Error: the API answers 410: The provided continue parameter is too old',
    );
    expect(await followed.next()).to.equal('a,b');
  });

  for (const [what, fail, message] of [
    ['is cut', (at: Stage) => at.server.cutWatches(), /broke off: aborted/],
    [
      'is cut in the middle of a line',
      (at: Stage) => {
        at.server.tell('{"type":"DELE');
        at.server.cutWatches();
      },
      /broke off: aborted/,
    ],
    [
      'ends in the middle of a line',
      (at: Stage) => {
        at.server.tell('{"type":"DELE');
        at.server.endWatches();
      },
      /ended in the middle of a line/,
    ],
    ['tells something that is not JSON', (at: Stage) => at.server.tell('{"type":"ADDED",\n'), /no event$/],
    ['tells something that is no event', (at: Stage) => at.server.tell('null\n'), /no event$/],
    [
      'tells an event of an unknown type',
      (at: Stage) => at.server.tell('{"type":"X","object":{}}\n'),
      /type/,
    ],
    [
      'tells an error',
      (at: Stage) => at.server.tell({ type: 'ERROR', object: { code: 500, message: 'etcd is gone' } }),
      /the API answers 500: etcd is gone/,
    ],
  ] as const) {
    it(`says so when a watch ${what}, and lists anew`, async () => {
      const { server } = stage;
      const followed = await stage.follow();
      expect(await followed.next()).to.equal('a,b');
      const next = followed.next();
      await server.request('watch');
      fail(stage);
      expect(await next)
        .to.match(/^Error: /)
        .and.match(message);
      // Told again though nothing has changed, because what was told last was an error.
      expect(await followed.next()).to.equal('a,b');
    });
  }

  it('takes what a watch has said before it fails', async () => {
    const { server } = stage;
    const followed = await stage.follow();
    await followed.next();
    const next = followed.next();
    await server.request('watch');
    const added = JSON.stringify({ type: 'ADDED', object: nodeOf('c') });
    server.tell(`${added}\n{"type":"ERROR","object":{"code":500}}\n`);
    expect(await next).to.equal('a,b,c');
    expect(await followed.next()).to.equal('Error: the API answers 500');
    // The list knows better: there never was one.
    expect(await followed.next()).to.equal('a,b');
  });

  it('takes a watch that says nothing for dead', async () => {
    const followed = await stage.follow({ silenceMs: 20 });
    expect(await followed.next()).to.equal('a,b');
    expect(await followed.next()).to.equal('Error: the watch of the nodes said nothing within 20 ms');
    expect(await followed.next()).to.equal('a,b');
  });

  for (const [what, kind, befall] of [
    ['ends every watch at once', 'watch', (server: FakeApiServer) => server.endWatches()],
    ['refuses every list', 'list', () => undefined],
  ] as const) {
    it(`waits before it asks again a server that ${what}`, async () => {
      const { server } = stage;
      if (kind === 'list') server.fail('list', ...Array.from({ length: 20 }, () => status(500)));
      const follow = async (labelSelector: string, waitMs: number): Promise<void> => {
        const followed = await stage.follow({ labelSelector, retryMinMs: waitMs, retryMaxMs: waitMs });
        void (async () => {
          while ((await followed.next()) !== 'end');
        })();
        const asks = (): boolean =>
          server.asked.some((asked) => asked.kind === kind && asked.query.labelSelector === labelSelector);
        for (let nth = 1; !asks(); nth += 1) await server.request(kind, nth);
      };
      await follow('it=waits', 60_000);
      await follow('it=hurries', 1);
      // The one that hurries is the measure of time.
      for (let nth = 3; nth < 12; nth += 1) {
        befall(server);
        await server.request(kind, nth);
      }
      const waiting = server.asked.filter(
        (asked) => asked.kind === kind && asked.query.labelSelector === 'it=waits',
      );
      expect(waiting).to.have.length(1);
    });
  }

  it('gives up a list, and a watch, that the API does not answer', async () => {
    const { server } = stage;
    server.fail('list', hang);
    server.fail('watch', hang);
    const followed = await stage.follow({ listTimeoutMs: 200 });
    expect(await followed.next()).to.equal('Error: the API did not list the nodes within 200 ms');
    expect(await followed.next()).to.equal('a,b');
    expect(await followed.next()).to.equal('Error: the API did not begin a watch of the nodes within 200 ms');
    expect(await followed.next()).to.equal('a,b');
  });

  it('gives up a list that ends in the middle, and one that comes by drops', async () => {
    const { server } = stage;
    server.fail(
      'list',
      (response) => {
        response.write('{"items":[');
        response.flushHeaders();
      },
      (response) => response.end('{"items":['),
      (response) => response.end('{"items":[],"metadata":{}}'),
    );
    const followed = await stage.follow({ listTimeoutMs: 200 });
    expect(await followed.next()).to.include('did not list the nodes within 200 ms');
    expect(await followed.next()).to.include('not a list of nodes');
    expect(await followed.next()).to.include('not a list of nodes');
    expect(await followed.next()).to.equal('a,b');
  });

  it('leaves out what is no node, in a list and in a watch', async () => {
    const { server } = stage;
    const nodes = [null, 7, [], { metadata: null }, { metadata: { name: { a: 1 } } }, nodeOf('a')];
    server.fail('list', (response) =>
      response.end(JSON.stringify({ items: nodes, metadata: { resourceVersion: '102' } })),
    );
    const followed = await stage.follow();
    expect(await followed.next()).to.equal('a,!');
    const next = followed.next();
    await server.request('watch');
    for (const object of [[], { metadata: null }, { metadata: { name: 7 } }, nodeOf('c')])
      server.tell({ type: 'ADDED', object });
    expect(await next).to.equal('a,c,!');
    const last = followed.next();
    server.tell({
      type: 'ADDED',
      object: { ...nodeOf('d'), metadata: { name: 'd', resourceVersion: { a: 1 } } },
    });
    expect(await last).to.equal('a,c,d,!');
    void followed.next();
    server.endWatches();
    expect((await server.request('watch', 2)).query.resourceVersion).to.equal('102');
  });

  it('gives up a list that has no end', async () => {
    const { server } = stage;
    const page = (items: readonly unknown[], next?: unknown) =>
      JSON.stringify({ items, metadata: { resourceVersion: '1', continue: next } });
    const many = Array.from({ length: 50_001 }, (_, index) => ({ metadata: { name: `n${index}` } }));
    server.fail(
      'list',
      (response) => response.end(page([], 'x')),
      (response) => response.end(page([], 'x')),
      (response) => response.end(page(many, 'x')),
      (response) => response.end(page(many)),
      (response) => response.end(page([], { next: 'x' })),
    );
    const followed = await stage.follow();
    expect(await followed.next()).to.equal('Error: the API gives the same page of nodes again and again');
    expect(await followed.next()).to.equal(
      'Error: the API lists more than 100000 nodes: ask for fewer by labelSelector',
    );
    expect(await followed.next()).to.include('not a list of nodes');
    expect(await followed.next()).to.equal('a,b');
  });

  it('gives up a page that has no end', async () => {
    const part = 'x'.repeat(2 ** 20);
    const parts = Array.from({ length: 65 }, () => part);
    const { signal } = new AbortController();
    const length = async (of: readonly string[]) => (await textOf(Readable.from(of), signal)).length;
    expect(await length(parts.slice(1))).to.equal(2 ** 26);
    expect(await rejection(length(parts))).to.have.property(
      'message',
      'the answer of the API broke off: it is longer than 67108864 characters',
    );
  });

  const refusals: [code: number, advice: string][] = [
    [401, 'check the token, client certificate or exec plugin'],
    [403, 'bind a ClusterRole'],
    [404, 'check the server in the kubeconfig'],
    [429, ''],
    [500, ''],
    [503, ''],
  ];
  for (const [code, advice] of refusals) {
    it(`says so when a list or a watch is answered ${code}, and goes on`, async () => {
      const { server } = stage;
      server.fail('list', status(code, 'not now'), status(code, 'not now'));
      server.fail('watch', status(code, 'nor\n\u001b[2Jnow'));
      const followed = await stage.follow();
      for (let count = 0; count < 2; count += 1) {
        const told = await followed.next();
        expect(told).to.include(`Error: the API answers ${code}: not now`).and.include(advice);
        expect(told.endsWith('not now')).to.equal(advice === '');
      }
      expect(await followed.next()).to.equal('a,b');
      expect(await followed.next())
        .to.include(`Error: the API answers ${code}: nor [2Jnow`)
        .and.include(advice);
      expect(await followed.next()).to.equal('a,b');
    });
  }

  it('does without the Status of a server that sends none', async () => {
    stage.server.fail('list', (response) => response.writeHead(502).end('<html>'));
    const followed = await stage.follow();
    expect(await followed.next()).to.equal('Error: the API answers 502');
  });

  it('does without a Status that has no end', async () => {
    const body = 'x'.repeat(2 ** 16);
    stage.server.fail('list', (response) => {
      const write = (): void => {
        while (!response.destroyed && response.write(body));
      };
      response.writeHead(503).on('drain', write);
      write();
    });
    const followed = await stage.follow();
    expect(await followed.next()).to.equal('Error: the API answers 503');
    expect(await followed.next()).to.equal('a,b');
  });

  it('tells a Status without what would act on a terminal', async () => {
    const followed = await stage.follow();
    await followed.next();
    const next = followed.next();
    await stage.server.request('watch');
    const object = { code: '\u001b[31m', message: 'bad\u001b[2J \u202enews' };
    stage.server.tell({ type: 'ERROR', object });
    expect(await next).to.equal('Error: the API answers 500: bad [2J  news');
  });

  it('sees in a list after a failure who has gone meanwhile', async () => {
    const { server } = stage;
    const followed = await stage.follow();
    await followed.next();
    const next = followed.next();
    await server.request('watch');
    server.fail('list', status(500));
    server.cutWatches();
    server.remove('a');
    expect(await next).to.match(/^Error/);
    expect(await followed.next()).to.equal('Error: the API answers 500: no');
    expect(await followed.next()).to.equal('b');
  });

  it('says so when there is no server, and goes on when there is one', async () => {
    const { server } = stage;
    await stage.write('kubeconfig', server.kubeconfig(undefined, { server: 'https://127.0.0.1:1' }));
    const followed = stage.followAsIs();
    expect(await followed.next()).to.match(/^Error: .*ECONNREFUSED/);
    await stage.write('kubeconfig', server.kubeconfig());
    let next = await followed.next();
    while (next.includes('ECONNREFUSED')) next = await followed.next();
    expect(next).to.equal('a,b');
  });

  describe('ends with its signal, and closes everything', () => {
    it('while it watches', async () => {
      const followed = await stage.follow();
      await followed.next();
      const next = followed.next();
      await stage.server.request('watch');
      followed.stop();
      expect(await next).to.equal('end');
      await stage.server.idle();
    });

    it('while it lists', async () => {
      stage.server.fail('list', hang);
      const followed = await stage.follow();
      const next = followed.next();
      await stage.server.request('list');
      followed.stop();
      expect(await next).to.equal('end');
      await stage.server.idle();
    });

    it('while it waits to try again', async () => {
      stage.server.fail('list', status(500));
      const followed = await stage.follow({ retryMinMs: 1_000_000, retryMaxMs: 1_000_000 });
      expect(await followed.next()).to.match(/^Error/);
      const next = followed.next();
      followed.stop();
      expect(await next).to.equal('end');
    });

    it('before it has begun', async () => {
      const followed = await stage.follow();
      followed.stop();
      expect(await followed.next()).to.equal('end');
      expect(stage.server.asked).to.deep.equal([]);
    });
  });
});
