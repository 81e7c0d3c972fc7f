import { expect } from 'chai';
import type { Socket } from 'node:net';
import { readAll, until } from '../../support/dialer.js';
import { below, seededRandom } from '../../support/seeded-random.js';
import { Proxy, SWITCHING } from './stage.js';

const CASES = 300;

/** Stands wherever something must not go on. */
const SECRET = 'c2VjcmV0';

const LINES = [
  'Host: proxy',
  'host: other',
  'Host : proxy',
  'Connection: Upgrade',
  'Connection: keep-alive, uPgRaDe',
  'Connection: close, upgrade, X-Odd',
  'Connection:\tUpgrade\t',
  'Connection : Upgrade',
  'Connection: close',
  'Upgrade: websocket',
  'UPGRADE: SPDY/3.1',
  'Upgrade: h2c',
  'Upgrade: websocket, HTTP/2.0',
  'Upgrade:',
  `Authorization: Bearer ${SECRET}`,
  `authorization : Bearer ${SECRET}`,
  `AUTHORIZATION:${SECRET}`,
  `Proxy-Authorization: Basic ${SECRET}`,
  `Impersonate-User: ${SECRET}`,
  `impersonate_group:${SECRET}`,
  `Impersonate-Extra-X: ${SECRET}`,
  `X-Remote-User: ${SECRET}`,
  `x_remote-extra-a: ${SECRET}`,
  `Sec-WebSocket-Protocol: v4.channel.k8s.io,base64url.bearer.authorization.k8s.io.${SECRET}`,
  `Sec-WebSocket-Protocol: Base64Url.Bearer.Authorization.k8s.io.${SECRET}`,
  'Sec-WebSocket-Protocol: v5.channel.k8s.io',
  'X-Stream-Protocol-Version: v4.channel.k8s.io',
  // A lenient parser unfolds it, and it is the value of X-Odd then.
  'X-Odd: a\r\n Authorization: folded',
  `X-Odd: a\nAuthorization: ${SECRET}`,
  `X-Odd: a\rAuthorization: ${SECRET}`,
  'X-Odd: \xff\xfe',
  'X-Odd: a\0b',
  'X-Odd:',
  ': nameless',
  'no colon',
  'Content-Length: 0',
  'Content-Length: 5',
  'Content-Length: 5, 5',
  'Content-Length: +5',
  'Content-Length: 0x5',
  'content_length: 5',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity',
  'Transfer-Encoding:\tchunked',
  'Transfer_Encoding: chunked',
  'Expect: 100-continue',
  'TE: trailers',
  'X-Forwarded-For: 198.51.100.1',
];

const REQUEST_LINES = [
  'GET /exec HTTP/1.1',
  'GET /exec HTTP/1.1',
  'POST /exec HTTP/1.1',
  'POST /exec HTTP/1.1',
  'GET /exec HTTP/1.0',
  'GET  /exec HTTP/1.1',
  'GET\t/exec HTTP/1.1',
  'get /exec HTTP/1.1',
  'GET http://other/exec HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'CONNECT other:443 HTTP/1.1',
  'HEAD /exec HTTP/1.1',
  '\r\nGET /exec HTTP/1.1',
];

const SECOND = `GET /${SECRET} HTTP/1.1\r\nHost: proxy\r\n\r\n`;
const BODIES = ['', 'hello', 'hello', `5\r\nhello\r\n0\r\n\r\n`, '0\r\n\r\n'];

describe('apiserver: heads of upgrades, at random', () => {
  for (const insecureHTTPParser of [false, true]) {
    for (const answer of ['HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n', SWITCHING]) {
      const what = answer.slice(9, 12);
      const parser = insecureHTTPParser ? 'lenient' : 'strict';
      it(`bring nothing to a backend that it may not get; it answers ${what}, the parser is ${parser}`, async () => {
        const random = seededRandom(20260 + CASES);
        const proxy = await Proxy.start({ insecureHTTPParser });
        proxy.server.on('request', (_request, response) => response.writeHead(400).end().destroy());
        try {
          let reached = 0;
          for (let count = 0; count < CASES; count += 1) {
            const { text, stream } = anyRequest(random);
            reached += await examine(proxy, text, answer, stream);
          }
          // Otherwise this shows nothing.
          expect(reached).to.be.above(CASES / 20);
        } finally {
          await proxy.end();
        }
      });
    }
  }
});

function anyRequest(random: () => number): { readonly text: string; readonly stream: string } {
  const pick = (from: readonly string[]): string => from[below(from.length, random)] ?? '';
  const lines = ['Host: proxy', 'Connection: Upgrade', 'Upgrade: websocket'].filter(() => random() < 0.95);
  for (let count = below(5, random); count > 0; count -= 1)
    lines.splice(below(lines.length + 1, random), 0, pick(LINES));
  const end = random() < 0.95 ? '\r\n' : '\n';
  const stream = pick(BODIES) + SECOND;
  return { text: [pick(REQUEST_LINES), ...lines, '', stream].join(end), stream };
}

/** Sends a request, and looks at what has become of it. Returns whether anything has reached the backend: 0 or 1. */
async function examine(proxy: Proxy, text: string, answer: string, stream: string): Promise<number> {
  const isSwitching = answer === SWITCHING;
  const backend = await proxy.toRaw((socket: Socket) => socket.once('data', () => socket.write(answer)));
  const client = proxy.send(text);
  const all = readAll(client).catch(() => Buffer.alloc(0));
  if (isSwitching) {
    await until('an end, or the stream', () => client.closed || backend.received.endsWith(SECOND));
    client.destroy();
  } else await all;
  await until('the end', () => client.closed);
  const { received, sockets } = backend;
  for (const socket of sockets) socket.destroy();
  if (received === '') return 0;

  const end = received.indexOf('\r\n\r\n') + 4;
  const [head, rest] = [received.slice(0, end), received.slice(end)];
  const shown = JSON.stringify({ text, received });
  expect(head, shown).to.match(/^(GET|POST|HEAD|OPTIONS) \/[\x21-\x7e]* HTTP\/1\.1\r\n/);
  expect(head, shown).to.match(/^([^\r\n\0]+\r\n)+\r\n$/);
  const fields = head.split('\r\n').slice(1, -2);
  const named = (name: string): string[] =>
    fields.filter((line) => line.toLowerCase().replaceAll('_', '-').startsWith(`${name}:`));
  expect(
    fields.every((line) => /^[\w!#$%&'*+.^`|~-]+: /.test(line)),
    shown,
  ).to.equal(true);
  expect(named('connection'), shown).to.deep.equal(['Connection: Upgrade']);
  expect(named('host'), shown).to.have.length(1);
  expect(named('upgrade').join(), shown)
    .to.match(/websocket|spdy/i)
    .and.not.match(/h2c|http/i);
  for (const field of ['transfer-encoding', 'expect', 'te', 'authorization', 'proxy-authorization'])
    expect(named(field), shown).to.have.length(0);
  expect(head, shown).not.to.include(SECRET);
  const bodyBytes = Number(named('content-length')[0]?.slice('Content-Length: '.length) ?? '0');
  expect(named('content-length').length, shown).to.be.at.most(1);
  // Nothing but the body before the 101; and behind it everything as it came.
  if (isSwitching) expect(rest, shown).to.equal(stream);
  else expect(rest, shown).to.equal(stream.slice(0, bodyBytes).slice(0, rest.length));
  return 1;
}
