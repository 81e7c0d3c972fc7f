import { expect } from 'chai';
import { text } from 'node:stream/consumers';
import { gzipSync, deflateSync, deflateRawSync, brotliCompressSync } from 'node:zlib';
import zlib from 'node:zlib';
import { LinkRewriter } from '../../../lib/apiserver/plain/link-rewriter.js';
import { edited, isReadableLink, linkEdit } from '../../../lib/apiserver/plain/links.js';
import { read } from '../../support/dialer.js';
import { seededRandom, below } from '../../support/seeded-random.js';
import { prefixOf, ProxyStage } from './stage.js';

const rules = { prefix: '/p/proxy', authority: '10.0.0.5:80', requestHost: 'localhost:8001' };

/** What becomes of a page that comes in pieces. */
function rewritten(page: string, pieces: (page: string) => string[] = (all) => [all]): Promise<string> {
  const rewriter = new LinkRewriter(rules);
  const out = text(rewriter.setEncoding('latin1'));
  for (const piece of pieces(page)) rewriter.write(Buffer.from(piece, 'latin1'));
  rewriter.end();
  return out;
}

/** A page with a link of each kind, and what is to become of it. */
const page = (link: (path: string) => string): string => `<!DOCTYPE html>
<HTML lang=en><head><base href="${link('/base/')}"><title><a href="/title"></title>
<link rel='stylesheet' href='${link('/a.css?x=1&amp;y=2#z')}'>\r\n<script src=${link('/a.js')}></script>
<script>var x = '<a href="/script">' && 1 < 2;</script><style>a { background: url("/style") }</style>
<!-- <a href="/comment"> --></head><BODY background="${link('/b.png')}">
<a HREF = "${link('/google.log/')}" class="x">t</a><a href>x</a><a href="">y</a><a href="relative/x">z</a>
<img alt="/alt" src="${link('/i.png')}" longdesc="${link('/l')}" usemap="#map" data-src="/data"/>
<form action='${link('/do')}' data-x=">"><button formaction="${link('/b')}"></form>
<a href="http://google.com/x">g</a><a href="mailto:/x">m</a><p href="/p">\xe9\xff &lt; &amp;amp;
<textarea><a href="/textarea"></textarea><a title='"' href="${link('/last')}"><a href="/unfinished`;

const before = page((path) => path);
const after = page((path) => `/p/proxy${path}`);

describe('apiserver: links of a page', () => {
  it('AC-20: lead through the proxy where an attribute holds one, and every other byte stays', async () => {
    expect(await rewritten(before)).to.equal(after);
  });

  it('AC-20: are the same however the page is cut in pieces', async () => {
    expect(await rewritten(before, (all) => Array.from(all))).to.equal(after);
    for (let seed = 1; seed <= 50; seed += 1) {
      const random = seededRandom(seed);
      const pieces = (all: string): string[] => {
        const cut: string[] = [];
        for (let at = 0; at < all.length;) {
          const length = 1 + below(40, random);
          cut.push(all.slice(at, at + length));
          at += length;
        }
        return cut;
      };
      expect(await rewritten(before, pieces), `seed ${seed}`).to.equal(after);
    }
  });

  it('AC-20: are left alone or changed by where they lead', () => {
    for (const [link, expected] of [
      ['relative/path', undefined],
      ['', undefined],
      ['#fragment', undefined],
      ['?query=/x', undefined],
      ['/google.log/', '/p/proxy/google.log/'],
      ['/', '/p/proxy/'],
      ['http://10.0.0.5:80/x?y#z', '/p/proxy/x?y#z'],
      ['HTTPS://10.0.0.5:80/x', '/p/proxy/x'],
      ['//10.0.0.5:80/x', '/p/proxy/x'],
      ['http://10.0.0.5:80', '/p/proxy/'],
      ['http://10.0.0.5:80?y', '/p/proxy/?y'],
      ['http://10.0.0.5/x', undefined],
      ['http://10.0.0.5:8080/x', undefined],
      ['http://10.0.0.5:80@evil/x', undefined],
      ['http://google.com/x', undefined],
      ['http://localhost:8001/x', 'http://localhost:8001/p/proxy/x'],
      ['//localhost:8001/x', '//localhost:8001/p/proxy/x'],
      ['http://localhost:8001/p/proxy/x', undefined],
      ['/p/proxy/x', undefined],
      ['/p/proxy', undefined],
      ['/p/proxyx', '/p/proxy/p/proxyx'],
      ['http://10.0.0.5:80/p/proxy/x', '/p/proxy/x'],
      ['mailto:a/b', undefined],
      ['javascript:/x/', undefined],
      ['data:text/html,/x', undefined],
      ['file:///x', undefined],
      [' /x', ' /p/proxy/x'],
    ] as const) {
      const edit = linkEdit(link, rules);
      expect(edit && edited(link, edit), link).to.equal(expected);
    }
  });

  it('are read with character references undone, and keep those that they have', async () => {
    for (const [given, expected] of [
      ['<a href="&#x2f;x">', '<a href="/p/proxy&#x2f;x">'],
      ['<a href="http&colon;//10.0.0.5&#58;80/x&eacute;&amp;">', '<a href="/p/proxy/x&eacute;&amp;">'],
      ['<a href=&sol;x&gt;y>', '<a href=/p/proxy&sol;x&gt;y>'],
      ["<a href='/x&quot;&apos;'>", "<a href='/p/proxy/x&quot;&apos;'>"],
    ] as const)
      expect(await rewritten(given)).to.equal(expected);
  });

  it('cannot break out of their attribute by what the prefix has', async () => {
    const rewriter = new LinkRewriter({ ...rules, prefix: '/p/a&quot;b' });
    const out = text(rewriter);
    rewriter.end('<a href="/x">');
    expect(await out).to.equal('<a href="/p/a&amp;quot;b/x">');
  });

  it('that have no end are not waited for', () => {
    const endless = `<a href="/${'x'.repeat(100_000)}`;
    const rewriter = new LinkRewriter(rules);
    let passed = 0;
    rewriter.on('data', (chunk: Buffer) => (passed += chunk.length));
    for (let at = 0; at < endless.length; at += 1000) rewriter.write(endless.slice(at, at + 1000));
    expect(passed).to.equal(endless.length);
    const name = `<a ${'n'.repeat(100_000)}`;
    rewriter.write(`">${name}`);
    expect(passed).to.equal(endless.length + 2 + name.length);
    rewriter.destroy();
  });

  it('that no URL parser takes are told from those that it does', () => {
    for (const link of ['/%zz', '/%', ':x', 'http://a b/', '//a<b', '/x#%q'])
      expect(isReadableLink(link), link).to.equal(false);
    for (const link of ['/x?%zz', 'http://a:80/b%20c#d', '../x', '', '//a', '/a b'])
      expect(isReadableLink(link), link).to.equal(true);
  });

  describe('behind the proxy', () => {
    let stage: ProxyStage;
    beforeEach(async () => (stage = await ProxyStage.start()));
    afterEach(() => stage.end());

    const prefix = prefixOf('p');
    const serve = (body: string | Buffer, headers: Record<string, string | number>, status = 200) =>
      stage.http('p', (_request, response) => void response.writeHead(status, headers).end(body));

    for (const scheme of ['http', 'https'] as const)
      it(`AC-10: a page of a pod is rewritten, over ${scheme}`, async () => {
        await stage[scheme]('p', (_request, response) => {
          response.setHeader('Content-Type', 'text/html').end('<a href="/rewriteme">test</a>');
        });
        const { body, headers } = await stage.fetch(`${prefix}/`);
        expect(body).to.equal(`<a href="${prefix}/rewriteme">test</a>`);
        expect(headers).to.not.have.property('content-length');
      });

    it('AC-20: a page is what says so, with parameters or without, and nothing else', async () => {
      const link = '<a href="/x">';
      for (const [type, isPage] of [
        ['text/html', true],
        ['text/html; charset=utf-8', true],
        ['Text/HTML ;charset=latin1', true],
        ['text/plain', false],
        ['text/html5', false],
        ['application/xhtml+xml', false],
      ] as const) {
        await serve(link, { 'Content-Type': type, 'Content-Length': link.length });
        const { body, headers } = await stage.fetch(`${prefix}/`);
        expect(body, type).to.equal(isPage ? `<a href="${prefix}/x">` : link);
        expect(headers['content-length'], type).to.equal(isPage ? undefined : String(link.length));
      }
    });

    it('AC-20: a page names the backend by its address, or the proxy by its host', async () => {
      await stage.http('p', (request, response) => {
        const { authority } = stage.backends.get('p') ?? {};
        response.setHeader('Content-Type', 'text/html');
        response.end(
          `<a href="http://${authority ?? ''}/x"><a href="http://${request.headers.host ?? ''}/y">`,
        );
      });
      const { body } = await stage.fetch(`${prefix}/`, { headers: { Host: 'apiserver' } });
      expect(body).to.equal(`<a href="${prefix}/x"><a href="http://apiserver${prefix}/y">`);
    });

    const short = '<a href="/x">';
    const long = `<p>${'lorem ipsum '.repeat(4800)}</p>${short}`;
    for (const [name, encoding, compress, decompress] of [
      ['gzip', 'gzip', gzipSync, zlib.gunzipSync],
      ['deflate', 'deflate', deflateSync, zlib.inflateSync],
      ['deflate without its frame', 'deflate', deflateRawSync, zlib.inflateRawSync],
    ] as const)
      for (const html of [short, long])
        it(`AC-21: a page of ${html.length} bytes in ${name} is rewritten and comes in the same`, async () => {
          await serve(compress(html), {
            'Content-Type': 'text/html',
            'Content-Encoding': encoding,
            'Content-Length': compress(html).length,
          });
          const { bytes, headers } = await stage.fetch(`${prefix}/`);
          expect(decompress(bytes).toString()).to.equal(html.replace('"/x"', `"${prefix}/x"`));
          expect(headers)
            .to.include({ 'content-encoding': encoding })
            .and.not.have.property('content-length');
        });

    it('AC-21: a page in an encoding that we do not know is passed on untouched', async () => {
      for (const encoding of ['br', 'gzip, gzip', 'zstd']) {
        const bytes = brotliCompressSync(short);
        await serve(bytes, {
          'Content-Type': 'text/html',
          'Content-Encoding': encoding,
          'Content-Length': bytes.length,
        });
        const answer = await stage.fetch(`${prefix}/`);
        expect(answer.bytes, encoding).to.deep.equal(bytes);
        expect(answer.headers).to.include({
          'content-encoding': encoding,
          'content-length': String(bytes.length),
        });
      }
    });

    it('AC-21: a page that is empty stays so', async () => {
      for (const encoding of ['gzip', 'deflate', 'identity']) {
        await serve('', { 'Content-Type': 'text/html', 'Content-Encoding': encoding });
        expect((await stage.fetch(`${prefix}/`)).body, encoding).to.equal('');
      }
    });

    it('AC-21: a page that is not what its encoding says is cut off', async () => {
      for (const encoding of ['gzip', 'deflate']) {
        await serve(Buffer.from('not that at all'), {
          'Content-Type': 'text/html',
          'Content-Encoding': encoding,
        });
        const response = await stage.begin(`${prefix}/`);
        expect(response.statusCode).to.equal(200);
        const failure = await text(response).then(
          () => undefined,
          (error: unknown) => error,
        );
        expect(failure, encoding).to.have.property('code', 'ECONNRESET');
      }
    });

    it('AC-21: a page in gzip that is cut short is cut short', async () => {
      await serve(gzipSync(long).subarray(0, 100), {
        'Content-Type': 'text/html',
        'Content-Encoding': 'gzip',
      });
      const response = await stage.begin(`${prefix}/`);
      const failure = await text(response).then(
        () => undefined,
        (error: unknown) => error,
      );
      expect(failure).to.have.property('code', 'ECONNRESET');
    });

    it('a page comes piece by piece, in gzip as well', async () => {
      let next: (html: string) => void = () => undefined;
      await stage.http('p', (_request, response) => {
        const gzip = zlib.createGzip({ flush: zlib.constants.Z_SYNC_FLUSH });
        response.writeHead(200, { 'Content-Type': 'text/html', 'Content-Encoding': 'gzip' });
        gzip.pipe(response);
        next = (html) => void gzip.write(html);
        next('<a href="/one">');
      });
      const response = await stage.begin(`${prefix}/`);
      const page = response.pipe(zlib.createGunzip());
      const one = `<a href="${prefix}/one">`;
      expect(String(await read(page, one.length))).to.equal(one);
      next('<a href="/two">');
      expect(String(await read(page, one.length))).to.equal(`<a href="${prefix}/two">`);
      page.destroy();
      response.destroy();
    });

    it('part of a page is passed on untouched: its offsets are those of the backend', async () => {
      const headers = { 'Content-Type': 'text/html', 'Content-Range': 'bytes 0-12/99', 'Content-Length': 13 };
      await serve(short, headers, 206);
      const { body } = await stage.fetch(`${prefix}/`);
      expect(body).to.equal(short);
    });

    it('a page that was changed has no checksum of another', async () => {
      await serve(short, { 'Content-Type': 'text/html', 'Content-MD5': 'x', Digest: 'y', ETag: '"kept"' });
      const { headers } = await stage.fetch(`${prefix}/`);
      expect(headers).to.include({ etag: '"kept"' }).and.not.have.any.keys('content-md5', 'digest');
    });

    it('a page is not rewritten without rewrites', async () => {
      stage.relayOptions = { rewrites: false };
      await serve(short, { 'Content-Type': 'text/html' });
      expect((await stage.fetch(`${prefix}/`)).body).to.equal(short);
    });
  });
});
