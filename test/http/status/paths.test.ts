import { expect } from 'chai';
import http from 'node:http';
import { Lab, uncaughtDuring } from '../../support/dialer.js';
import { FakeDialer, nodeStatus } from './fake-dialer.js';
import { Site } from './site.js';

describe('statusHandler: paths', () => {
  let dialer: FakeDialer;
  let site: Site;

  beforeEach(async () => {
    dialer = new FakeDialer();
    site = await Site.start(dialer);
  });

  afterEach(() => site.end());

  it('shows a real dialer', async () => {
    const lab = new Lab();
    const node = await lab.node();
    const real = lab.dialer([node]);
    const realSite = await Site.start(real);
    try {
      await real.ready();
      expect((await realSite.get('/healthz')).body).to.equal('ok\n');
      expect((await realSite.get('/readyz')).body).to.equal('ok\n');
      const status = JSON.parse((await realSite.get('/statusz')).body) as { nodes: { name: string }[] };
      expect(status.nodes[0]).to.include({ name: node.name, state: 'ready' });
      await real.close();
      expect((await realSite.get('/healthz')).status).to.equal(503);
    } finally {
      await realSite.end();
      await lab.end();
    }
  });

  it('are all of them kept by nobody, guessed by nobody, and framed or embedded by nobody', async () => {
    for (const path of ['/', '/healthz', '/readyz', '/statusz', '/metrics', '/nothing', '/events']) {
      const { headers } = await site.get(path, 'HEAD');
      expect(headers['cache-control'], path).to.equal('no-store');
      expect(headers['x-content-type-options'], path).to.equal('nosniff');
      expect(headers['cross-origin-resource-policy'], path).to.equal('same-origin');
      expect(headers['content-security-policy'], path).to.match(
        /^default-src 'none'.*frame-ancestors 'none'/,
      );
    }
  });

  it('have an HTML page at the root, whose policy names its script and style by hash', async () => {
    const { status, headers, body } = await site.get('/');
    expect(status).to.equal(200);
    expect(headers['content-type']).to.equal('text/html; charset=utf-8');
    expect(headers['content-security-policy']).to.match(
      /script-src 'sha256-[^']+'; style-src 'sha256-[^']+';/,
    );
    expect(headers['content-security-policy']).not.to.include('unsafe');
    expect(body).to.match(/^<!doctype html>/);
    expect(body.match(/\b(src|srcset)=|@import|url\(/g)).to.equal(null);
  });

  it('answer HEAD as GET, without a body', async () => {
    for (const path of ['/', '/healthz', '/statusz', '/readyz', '/metrics']) {
      const [head, get] = [await site.get(path, 'HEAD'), await site.get(path)];
      expect(head.status, path).to.equal(get.status);
      expect(head.body, path).to.equal('');
      expect(head.headers['content-type'], path).to.equal(get.headers['content-type']);
      expect(Number(head.headers['content-length']), path).to.be.above(0);
    }
    expect((await site.get('/events', 'HEAD')).headers['content-type']).to.match(/^text\/event-stream/);
    expect(dialer.watchers).to.equal(0);
  });

  it('take no other method', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      const { status, headers } = await site.get('/healthz', method, 'x'.repeat(200_000));
      expect([status, headers.allow], method).to.deep.equal([405, 'GET, HEAD']);
    }
  });

  it('that are unknown are answered with 404 and those that are known', async () => {
    for (const path of ['/health', '/healthz/', '//healthz', '/../healthz', '/__proto__', '/constructor']) {
      const { status, body } = await site.get(path);
      expect(status, path).to.equal(404);
      expect(body).to.include('/healthz').and.not.include('__proto__');
    }
  });

  it('are found whatever the query, and in absolute form', async () => {
    expect((await site.get('/healthz?verbose=1')).status).to.equal(200);
    expect((await site.get('/?/healthz')).headers['content-type']).to.match(/html/);
    expect((await site.get('http://somewhere/healthz')).status).to.equal(200);
  });

  it('are found under a prefix and nowhere else', async () => {
    const mounted = await Site.start(dialer, { prefix: '/ops/tunnels/' });
    try {
      expect((await mounted.get('/ops/tunnels/healthz')).status).to.equal(200);
      expect((await mounted.get('/ops/tunnels')).headers['content-type']).to.match(/html/);
      expect((await mounted.get('/ops/tunnels/')).headers['content-type']).to.match(/html/);
      expect((await mounted.get('/healthz')).status).to.equal(404);
      expect((await mounted.get('/ops/tunnelshealthz')).status).to.equal(404);
      expect((await mounted.get('/nothing')).body).to.include('/ops/tunnels/healthz');
    } finally {
      await mounted.end();
    }
  });

  it('include no metrics unless there are some', async () => {
    const { status, body } = await site.get('/metrics');
    expect(status).to.equal(404);
    expect(body).to.include('prom-client');
    const metrics = { contentType: 'text/plain; version=0.0.4', metrics: () => Promise.resolve('ups 1\n') };
    const other = await Site.start(dialer, { metrics });
    try {
      const answer = await other.get('/metrics');
      expect(answer.body).to.equal('ups 1\n');
      expect(answer.headers['content-type']).to.equal('text/plain; version=0.0.4');
    } finally {
      await other.end();
    }
  });

  it('tell JSON in which no character acts on a terminal, and which says the same', async () => {
    const name = 'a\u001b[2J\u009b2J\u202e</script>"\u2028\u{e0041}';
    dialer.nodes = [nodeStatus(name)];
    const { body, headers } = await site.get('/statusz');
    expect(headers['content-type']).to.match(/^application\/json/);
    expect(body.replaceAll('\n', '')).not.to.match(/[\p{Cc}\p{Cf}\p{Zl}]/u);
    const { nodes, at } = JSON.parse(body) as { nodes: { name: string }[]; at: string };
    expect(nodes[0]?.name).to.equal(name);
    expect(Date.parse(at)).to.be.closeTo(Date.now(), 10_000);
  });

  describe('when something fails', () => {
    it('are answered with 500, which does not say why; onError is told', async () => {
      const told: unknown[] = [];
      const onError = (error: unknown): void => {
        told.push(error);
        throw new Error('and this one fails, too');
      };
      const broken = new Error('password=1234');
      const metrics = { contentType: 'text/plain', metrics: () => Promise.reject(broken) };
      const failing = await Site.start(dialer, { onError, metrics });
      dialer.failure = broken;
      try {
        for (const path of ['/healthz', '/readyz', '/statusz', '/metrics']) {
          const { status, body } = await failing.get(path);
          expect(status, path).to.equal(500);
          expect(body).not.to.include('1234');
        }
        expect((await failing.events()).response.statusCode).to.equal(200);
        expect(told).to.deep.equal([broken, broken, broken, broken, broken]);
        expect(dialer.watchers).to.equal(0);
      } finally {
        await failing.end();
      }
    });

    it('throw nothing into the server, not even for a response that is under way or gone', async () => {
      const told: unknown[] = [];
      let handler: http.RequestListener = () => undefined;
      const inner = await Site.start(dialer, { onError: (error) => void told.push(error) });
      const server = http.createServer((request, response) => handler(request, response));
      const caught = await uncaughtDuring(async () => {
        handler = (request, response) => {
          response.writeHead(200).write('other');
          inner.handler(request, response);
        };
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        const { port } = server.address() as { port: number };
        const get = (path: string): Promise<void> =>
          new Promise((resolve) => {
            http
              .get({ port, host: '127.0.0.1', path, agent: false }, (response) => response.resume())
              .on('error', () => undefined)
              .once('close', resolve);
          });
        await get('/healthz');
        await get('/events');
        expect(told).to.have.length(2);
        handler = (request, response) => {
          response.destroy();
          response.once('close', () =>
            ['/', '/events'].forEach((url) => inner.handler(Object.assign(request, { url }), response)),
          );
        };
        await get('/');
      });
      expect(caught).to.deep.equal([]);
      expect(dialer.watchers).to.equal(0);
      server.close();
      await inner.end();
    });
  });
});
