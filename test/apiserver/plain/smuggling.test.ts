import { expect } from 'chai';
import { once } from 'node:events';
import type { Exchange } from '../../../lib/apiserver/exchange.js';
import { requestHead } from '../../../lib/apiserver/plain/request-head.js';
import { StatusError } from '../../../lib/apiserver/status-error.js';
import { mirror, prefixOf, ProxyStage } from './stage.js';

const HEAD = ['Host: h', 'Connection: close'];

describe('apiserver: a request that can be read in two ways', () => {
  let stage: ProxyStage;
  let seen: string[];
  beforeEach(async () => {
    stage = await ProxyStage.start();
    seen = [];
    await stage.http('p', (request, response) => {
      seen.push(request.url ?? '');
      mirror(request, response);
    });
  });
  afterEach(() => stage.end());

  const send = (lines: readonly string[], body = '', version = '1.1') =>
    stage.exchange([`POST ${prefixOf('p')}/ HTTP/${version}`, ...lines, '', body].join('\r\n'));
  const smuggled = '0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n';

  const cases: Record<string, readonly [lines: readonly string[], body?: string]> = {
    'Content-Length and Transfer-Encoding': [
      [...HEAD, 'Content-Length: 5', 'Transfer-Encoding: chunked'],
      smuggled,
    ],
    'Transfer-Encoding and Content-Length': [
      [...HEAD, 'Transfer-Encoding: chunked', 'Content-Length: 5'],
      smuggled,
    ],
    'two lengths': [[...HEAD, 'Content-Length: 1', 'Content-Length: 2'], 'ab'],
    'a list of lengths': [[...HEAD, 'Content-Length: 1, 1'], 'a'],
    'a length with a sign': [[...HEAD, 'Content-Length: +1'], 'a'],
    'a hexadecimal length': [[...HEAD, 'Content-Length: 0x1'], 'a'],
    'a coding that is not chunked': [[...HEAD, 'Transfer-Encoding: xchunked'], smuggled],
    'chunked that is not last': [[...HEAD, 'Transfer-Encoding: chunked, identity'], smuggled],
    'chunked twice': [[...HEAD, 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], smuggled],
    'chunked behind a line break': [[...HEAD, 'Transfer-Encoding:\r\n chunked'], smuggled],
    'a folded header (obs-fold)': [[...HEAD, 'A: b\r\n Transfer-Encoding: chunked'], smuggled],
    'a bare LF behind a header': [[...HEAD, 'A: b\nTransfer-Encoding: chunked'], smuggled],
    'a bare CR in a header': [[...HEAD, 'A: b\rTransfer-Encoding: chunked'], smuggled],
    'a NUL in a header': [[...HEAD, 'A: b\0c']],
    'a blank before the colon': [[...HEAD, 'Transfer-Encoding : chunked'], smuggled],
    'a header without a name': [[...HEAD, ': b']],
    'a blank before the first header': [[' A: b', ...HEAD]],
    'two hosts': [[...HEAD, 'Host: other']],
    'a bare LF in a chunk': [[...HEAD, 'Transfer-Encoding: chunked'], '1\na\n0\n\n'],
    'a chunk that is longer than it says': [[...HEAD, 'Transfer-Encoding: chunked'], '1\r\nab\r\n0\r\n\r\n'],
    'a LF in a chunk extension': [[...HEAD, 'Transfer-Encoding: chunked'], '1;\nx\r\na\r\n0\r\n\r\n'],
  };
  for (const [what, [lines, body]] of Object.entries(cases))
    it(`is refused: ${what}`, async () => {
      expect(await send(lines, body)).to.match(/^HTTP\/1.1 (400 |501 )/);
      expect(seen.filter((url) => url !== '/')).to.be.empty;
    });

  it('is refused: a transfer coding before chunked, as Go does', async () => {
    expect(await send([...HEAD, 'Transfer-Encoding: gzip, chunked'], '0\r\n\r\n')).to.match(
      /^HTTP\/1.1 501 /,
    );
    expect(seen).to.be.empty;
  });

  it('is refused: a Transfer-Encoding in HTTP/1.0', async () => {
    const answer = await send([...HEAD, 'Transfer-Encoding: chunked'], '0\r\n\r\n', '1.0');
    expect(answer).to.match(/^HTTP\/1.1 400 /);
    expect(seen).to.be.empty;
  });

  it('is refused: HTTP/0.9', async () => {
    const answer = await stage.exchange(`GET ${prefixOf('p')}/\r\n\r\n`);
    expect(answer).to.match(/^HTTP\/1.1 400 /);
    expect(seen).to.be.empty;
  });

  it('is refused by us, too, where the server has a lenient parser', () => {
    const head = (...rawHeaders: string[]) => {
      const request = { rawHeaders, httpVersion: '1.1', httpVersionMajor: 1, method: 'POST', url: '/' };
      const options = { authority: 'a', clientAddress: undefined, forwardedUri: undefined };
      return () => requestHead(request as unknown as Exchange['request'], options);
    };
    expect(head('Host', 'a')).not.to.throw();
    for (const headers of [
      ['Content-Length', '5', 'Transfer-Encoding', 'chunked'],
      ['Content-Length', '5', 'content-length', '5'],
      ['Content-Length', '5, 5'],
      ['Content-Length', ''],
      ['Transfer-Encoding', 'chunked', 'transfer-encoding', 'chunked'],
      ['Host', 'a', 'host', 'b'],
      ['A', 'b\r\nc: d'],
      ['A', 'b\nc'],
      ['A', 'b\0'],
      ['A b', 'c'],
      ['A:', 'c'],
      ['', 'c'],
      ['é', 'c'],
    ])
      expect(head(...headers), headers.join())
        .to.throw(StatusError)
        .that.includes({ code: 400 });
  });

  it('takes nothing of its framing from what Connection lists', async () => {
    const lines = ['Host: h', 'Connection: close, content-length, host, x-forwarded-for, x-forwarded-uri'];
    const answer = await send([...lines, 'Content-Length: 5', 'X-Forwarded-For: 1.2.3.4'], 'abcde');
    expect(answer)
      .to.contain('"body":"abcde"')
      .and.contain('"host":"h"')
      .and.contain('"x-forwarded-uri":"/api');
  });

  it('strips what Connection lists, in all forms', async () => {
    for (const connection of [
      'close, x-foo',
      'close,X-Foo',
      ' , close,\t x-foo ,',
      'close\r\nConnection: x-foo',
    ]) {
      const answer = await stage.exchange(
        [
          `GET ${prefixOf('p')}/ HTTP/1.1`,
          'Host: h',
          `Connection: ${connection}`,
          'X-Foo: secret',
          '',
          '',
        ].join('\r\n'),
      );
      expect(answer, connection)
        .to.match(/^HTTP\/1.1 200 /)
        .and.not.contain('secret');
    }
  });

  it('that is two is answered as two, one after the other', async () => {
    const one = (path: string, ...head: string[]) =>
      [`GET ${prefixOf('p')}${path} HTTP/1.1`, 'Host: h', ...head, '', ''].join('\r\n');
    const answer = await stage.exchange(one('/first') + one('/second', 'Connection: close'));
    expect(answer.match(/"url":"[^"]*"/g)).to.deep.equal(['"url":"/first"', '"url":"/second"']);
    expect(seen).to.deep.equal(['/first', '/second']);
  });

  it('that waits for its turn is over when its client goes, without the backend having heard of it', async () => {
    const server = await stage.http('slow', () => undefined);
    const socket = await stage.connect();
    const asked = once(server, 'request');
    const one = (name: string) => `POST ${prefixOf(name)}/ HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n`;
    socket.write(one('slow') + one('p'));
    await asked;
    socket.destroy();
    await Promise.all(stage.outcomes);
    expect(stage.outcomes).to.have.length(2);
    expect(seen).to.be.empty;
  });
});
