import { expect } from 'chai';
import { once } from 'node:events';
import type { Browser } from 'playwright-core';
import { describeFor } from '../../support/applicability.js';
import { chromiumBrowser, launchBrowser } from '../../support/browser.js';
import { waitUntil } from '../../support/processes.js';
import { down, FakeDialer, nodeStatus, thousand } from './fake-dialer.js';
import { lowestContrast, Visit, type VisitOptions } from './visit.js';

const every = (): FakeDialer =>
  new FakeDialer([
    nodeStatus('node-1'),
    nodeStatus('node-2', { state: 'degraded', cause: { code: 'ETIMEDOUT', message: 'too slow' } }),
    nodeStatus('node-3', { ...down, channels: { open: 0, waiting: 3 } }),
    nodeStatus('node-4', { state: 'connecting', clusterReady: false }),
    nodeStatus('node-5', {
      state: 'idle',
      keyInstall: {
        state: 'failing',
        fingerprint: 'SHA256:a',
        lagSince: new Date(),
        failure: { message: 'the API is <b>away</b>', since: new Date() },
      },
    }),
    nodeStatus('node-10', { channels: { open: 42, waiting: 0 }, address: 'fd00::1' }),
  ]);

const becomes = (value: () => Promise<unknown>, wanted: unknown): Promise<void> =>
  waitUntil(String(wanted), async () => (await value()) === wanted);

describeFor(chromiumBrowser, 'statusHandler: the page in a browser', () => {
  let browser: Browser;
  let visit: Visit | undefined;

  before(async () => {
    browser = await launchBrowser();
  });

  after(() => browser.close());

  const visitTo = async (dialer: FakeDialer, options?: VisitOptions): Promise<Visit> => {
    visit = await Visit.begin(browser, dialer, options);
    return visit;
  };

  afterEach(async () => {
    await visit?.end();
    const complaints = visit?.complaints ?? [];
    visit = undefined;
    expect(complaints).to.deep.equal([]);
  });

  it('shows the nodes, those with problems first, and asks for nothing but the events', async () => {
    const dialer = every();
    dialer.source = { name: 'file /etc/nodes', state: 'current', updatedAt: new Date(Date.now() - 180_000) };
    const { page, requested } = await visitTo(dialer);
    expect((await visit!.column('name')).map((text) => text.split('\n')[0])).to.deep.equal([
      'node-3',
      'node-2',
      'node-4',
      'node-5',
      'node-1',
      'node-10',
    ]);
    expect(await visit!.column('state')).to.deep.equal(
      ['down', 'degraded', 'connecting', 'idle', 'ready', 'ready'].map((state) => `${state}\nfor 1 min`),
    );
    expect((await visit!.column('cause'))[0]).to.match(/^sshd refused .*\n+ERR_TUNNEL_AUTH · next attempt /);
    expect((await visit!.column('cause'))[2]).to.include('The cluster does not take it for ready.');
    expect((await visit!.column('cause'))[3]).to.include(
      'Our key cannot be installed: the API is <b>away</b>',
    );
    expect((await visit!.column('name'))[5]).to.include('[fd00::1]:22');
    expect(await page.locator('#usable').innerText()).to.equal('4');
    expect(await page.locator('#streams').innerText()).to.equal('42');
    expect(await page.locator('#waiting').innerText()).to.equal('3');
    expect(await page.locator('#source-note').innerText()).to.equal('told 3 min ago');
    expect(await page.title()).to.equal('(1 down) tunnel-dialer');
    expect(requested).to.deep.equal(['/', '/events']);
  });

  it('follows a change without being loaded again', async () => {
    const dialer = every();
    const { page } = await visitTo(dialer);
    await visit!.evaluate('window.before = true');
    dialer.tell('node-1', { ...down, since: new Date(), cause: { code: 'X', message: 'unplugged' } });
    const row = page.getByRole('row', { name: /^node-1 / });
    await row.getByText('unplugged').waitFor();
    expect(await row.innerText()).to.include('down');
    expect(await page.title()).to.equal('(2 down) tunnel-dialer');
    expect(await page.locator('#spoken').innerText()).to.equal(
      '6 nodes: 2 down, 1 degraded, 1 connecting, 1 idle, 1 ready',
    );
    dialer.nodes = [...dialer.nodes.slice(1), nodeStatus('node-7')];
    await page.getByRole('row', { name: /^node-7 / }).waitFor();
    expect(await row.count()).to.equal(0);
    dialer.state = 'closing';
    await page.getByRole('alert').getByText('The dialer is closing.').waitFor();
    expect(await visit!.evaluate('window.before')).to.equal(true);
  });

  it('draws what it has seen as charts', async () => {
    const dialer = every();
    const { page } = await visitTo(dialer);
    const path = page.locator('#streams-chart .line');
    const points = async () => ((await path.getAttribute('d')) ?? '').split('L').length;
    const before = await points();
    await waitUntil('more points', async () => (await points()) > before + 1);
    expect(
      await page
        .getByRole('row', { name: /^node-10 / })
        .locator('svg .line')
        .count(),
    ).to.equal(3);
  });

  it('tells dials per second, of each node and of all, and how many have failed', async () => {
    const dialer = every();
    const { page } = await visitTo(dialer);
    const dials = async (name: string) => (await visit!.column('dials'))[(await names()).indexOf(name)];
    const names = async () => (await visit!.column('name')).map((text) => text.split('\n')[0]!);
    await becomes(() => dials('node-1'), '0/s');
    dialer.set('node-1', { dials: { opened: 10_000, failed: 2_000 } });
    await waitUntil('a rate', async () => /^[1-9][\d,]*\/s\n2,000 failed$/.test((await dials('node-1'))!));
    expect(await page.locator('#dials').innerText()).to.equal((await dials('node-1'))!.split('\n')[0]);
    expect(await dials('node-10')).to.equal('0/s');
    await page.getByRole('columnheader', { name: 'Dials' }).getByRole('button').click();
    await becomes(async () => (await names())[0], 'node-1');
    await becomes(() => dials('node-1'), '0/s\n2,000 failed');
    expect(await page.locator('#dials').innerText()).to.equal('0/s');
  });

  it('says which nodes the source leaves out, or keeps as they were, the first of them with the reason', async () => {
    const dialer = every();
    const first = ['a', 'b', '<i>\u202ec', 'd'].map((name, index) => ({
      name,
      reason: `reason ${index}`,
      isKept: index === 1,
    }));
    dialer.source = { name: 'cluster', state: 'current', leftOut: { count: 5, first } };
    const { page } = await visitTo(dialer);
    expect(await page.locator('#source-left-out').innerText()).to.equal(
      '5 nodes cannot be used as told: a (left out): reason 0; b (kept as it was): reason 1; ' +
        '<i>\\u202ec (left out): reason 2; and 2 others',
    );
  });

  it('takes no name, address, cause or source for markup, script, or a way to turn text around', async () => {
    const names = [
      '<img src=x onerror="window.hacked=1">',
      '</script><script>window.hacked=1</script>',
      `"'><svg onload=alert(1)>`,
      'javascript:alert(1)',
      '__proto__',
      'constructor',
      '${window.hacked=1}`',
      'turned\u202eround\u001b[2J\u009bm\u2028',
      'data: x\n\nevent: fleet\ndata: {}',
    ];
    const dialer = new FakeDialer(
      names.map((name) =>
        nodeStatus(name, { ...down, address: name, cause: { code: name, message: name.repeat(100) } }),
      ),
    );
    const failure = { message: names.join(' '), since: new Date() };
    dialer.source = { name: names.join(' '), state: 'stale', failure };
    const { page } = await visitTo(dialer);
    const shown = await page.locator('tbody th bdi:first-child').allTextContents();
    const spelt = names.map((name) =>
      name.replace(
        /[\u202e\u001b\u009b\u2028\n]/g,
        (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
      ),
    );
    expect(shown).to.have.members(spelt);
    expect(await visit!.evaluate('window.hacked')).to.equal(undefined);
    expect(await page.locator('img, tbody script, svg[onload]').count()).to.equal(0);
    expect(await visit!.evaluate('document.documentElement.scrollWidth - innerWidth')).to.equal(0);
    dialer.tell('__proto__', { state: 'ready' });
    await page.getByRole('row', { name: /^__proto__ .*ready/ }).waitFor();
  });

  it('can be read in light and in dark', async () => {
    const backgrounds = [];
    for (const colorScheme of ['light', 'dark'] as const) {
      const dialer = every();
      const failure = { message: 'gone', since: new Date() };
      dialer.source = { name: 'f', state: 'stale', failure };
      dialer.state = 'closing';
      await visitTo(dialer, { browser: { colorScheme } });
      const { contrast, text } = await visit!.evaluate<{ contrast: number; text: string }>(lowestContrast);
      expect(contrast, `${colorScheme}: ${text}`).to.be.within(4.5, 21);
      backgrounds.push(await visit!.evaluate('getComputedStyle(document.body).backgroundColor'));
      await visit!.end();
    }
    expect(backgrounds).to.deep.equal(['rgb(247, 247, 245)', 'rgb(17, 19, 21)']);
  });

  it('moves nothing for people who do not want that', async () => {
    const animation = `getComputedStyle(document.querySelector('#live'), '::before').animationName`;
    await visitTo(every());
    expect(await visit!.evaluate(animation)).to.equal('breathe');
    await visit!.end();
    await visitTo(every(), { browser: { reducedMotion: 'reduce' } });
    expect(await visit!.evaluate(animation)).to.equal('none');
  });

  describe('with a thousand nodes', () => {
    it('shows the first hundred, and all on demand; can be narrowed down', async () => {
      const { page } = await visitTo(new FakeDialer(thousand()));
      const rows = page.locator('tbody tr');
      expect(await rows.count()).to.equal(100);
      expect((await visit!.column('state')).slice(0, 11).map((text) => text.split('\n')[0])).to.deep.equal([
        ...Array.from({ length: 10 }, () => 'down'),
        'ready',
      ]);
      expect(await page.locator('#map i').count()).to.equal(1000);
      await page.getByRole('button', { name: 'down 10' }).click();
      await becomes(() => rows.count(), 10);
      await page.getByRole('button', { name: 'all 1,000' }).click();
      await page.getByRole('searchbox').fill('NODE-99');
      await becomes(() => rows.count(), 11);
      expect((await visit!.column('name'))[0]).to.match(/^node-99\n/);
      await page.getByRole('searchbox').fill('nothing like that');
      await page.getByText('No node matches.').waitFor();
      await page.getByRole('searchbox').fill('');
      await page.getByRole('button', { name: 'Show 900 more' }).click();
      await becomes(() => rows.count(), 1000);
    });

    it('stays live, and is told what has changed only', async () => {
      const dialer = new FakeDialer(thousand());
      const { page } = await visitTo(dialer);
      await page.getByRole('button', { name: 'Show 900 more' }).click();
      const started = performance.now();
      dialer.nodes = dialer.nodes.map((node) => ({ ...node, roundTripMs: 5 }));
      dialer.tell('node-999', { ...down, cause: { code: 'X', message: 'unplugged' } });
      await page.getByText('unplugged').waitFor();
      expect(performance.now() - started).to.be.below(5_000);
    });

    it('fits a narrow screen, and is still a table there', async () => {
      const { page } = await visitTo(new FakeDialer(thousand()), {
        browser: { viewport: { width: 400, height: 800 } },
      });
      expect(await visit!.evaluate('document.documentElement.scrollWidth')).to.equal(400);
      const table = page.getByRole('table', { name: 'Nodes, those with problems first' });
      expect(await table.getByRole('columnheader').count()).to.equal(7);
      const row = table.getByRole('row', { name: /^node-0 / });
      expect(await row.getByRole('cell').count()).to.equal(6);
      expect(await row.getByRole('rowheader').innerText()).to.match(/^node-0\n/);
    });
  });

  it('works from the keyboard', async () => {
    const { page } = await visitTo(every());
    const rows = page.locator('tbody tr');
    await page.keyboard.press('/');
    await page.keyboard.type('too slow');
    await becomes(() => rows.count(), 1);
    await page.keyboard.press('Escape');
    await becomes(() => rows.count(), 6);
    await page.getByRole('button', { name: 'idle 1' }).press('Space');
    await becomes(() => rows.count(), 1);
    expect(await page.getByRole('button', { name: 'idle 1', pressed: true }).count()).to.equal(1);
    await page.getByRole('button', { name: 'all 6' }).press('Enter');
    const head = page.getByRole('columnheader', { name: 'Node' });
    await head.getByRole('button').press('Enter');
    await becomes(() => head.getAttribute('aria-sort'), 'ascending');
    expect((await visit!.column('name'))[5]).to.match(/^node-10\n/);
    await head.getByRole('button').press('Enter');
    await becomes(() => head.getAttribute('aria-sort'), 'descending');
    expect((await visit!.column('name'))[0]).to.match(/^node-10\n/);
  });

  it('finds its events under a prefix, with a slash at the end and without', async () => {
    for (const path of ['/ops/tunnels', '/ops/tunnels/']) {
      const { page, requested } = await visitTo(every(), { path, site: { prefix: '/ops/tunnels' } });
      expect(requested).to.deep.equal([path, '/ops/tunnels/events']);
      expect(await page.getByRole('link', { name: 'statusz' }).getAttribute('href')).to.equal(
        '/ops/tunnels/statusz',
      );
      await visit!.end();
    }
  });

  it('says when the server is gone, and goes on when it is back', async () => {
    const dialer = every();
    const { page, site, complaints } = await visitTo(dialer);
    const { port } = site;
    const closed = once(site.server, 'close');
    site.server.close();
    site.server.closeAllConnections();
    await closed;
    await page.getByRole('alert').getByText('No news from the server').waitFor();
    expect(await page.locator('#live').innerText()).to.equal('not connected');
    dialer.set('node-1', { ...down, cause: { code: 'X', message: 'unplugged meanwhile' } });
    site.server.listen(port, '127.0.0.1');
    await page.getByText('unplugged meanwhile').waitFor();
    expect(await page.locator('#live').innerText()).to.equal('live');
    expect(await page.getByRole('alert').count()).to.equal(0);
    // The browser's own, of the connection.
    expect(complaints.splice(0).every((text) => text.includes('net::ERR_'))).to.equal(true);
  });
});
