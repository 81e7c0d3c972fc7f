import { expect } from 'chai';
import type { Socket } from 'node:net';
import { turns } from '../../support/dialer.js';
import { below, seededRandom } from '../../support/seeded-random.js';
import { prefixOf, ProxyStage } from './stage.js';

type Random = () => number;

const pick = <T>(items: readonly T[], random: Random): T => items[below(items.length, random)] as T;
const times = <T>(most: number, random: Random, make: () => T): T[] =>
  Array.from({ length: below(most + 1, random) }, make);

const SECRET = 'very-secret';
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: h\r\nAuthorization: smuggled\r\n\r\n';

const METHODS = [
  ...Array.from({ length: 30 }, (_, n) => ['GET', 'POST', 'PUT'][n % 3] ?? ''),
  'GET',
  'GET',
  'POST',
  'PUT',
  'DELETE',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'get',
  'TRACE',
  'PROPFIND',
  'G T',
  '',
];
const VERSIONS = [
  ...Array.from({ length: 40 }, () => 'HTTP/1.1'),
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/1.2',
  'HTTP/0.9',
  'http/1.1',
  'HTTP/2.0',
  '',
];
const SEGMENTS = [
  ...[
    'a',
    'b',
    '..',
    '.',
    '%2e%2e',
    '%2E.',
    '.%2e',
    '',
    '%2F',
    '%2f..',
    '%5c..',
    '\\..',
    '%00',
    '%0d%0a',
    '%20',
    '~',
    '%',
  ],
  ...[
    '%zz',
    '%252e%252e',
    ';x=1',
    ':80',
    '@h',
    '#',
    '<script>',
    '"',
    '%c3%a9',
    '\xe9',
    '\x01',
    '\t',
    'proxy',
    '%25',
    '*',
  ],
];
const QUERIES = ['', '', '?', '?a=b', '?a=/../..', '?%zz', '?a#b', '??', '?a b', '?\xff', '?%0d%0aX:%20y'];
const NAMES = [
  ...Array.from({ length: 4 }, () => [
    'X-A',
    'Connection',
    'Authorization',
    'Impersonate-User',
    'X-Remote-User',
    'X-B',
    'TE',
    'Trailer',
    'Cookie',
  ]).flat(),
  ...[
    'Authorization',
    'authorization',
    'AUTHORIZATION',
    'Impersonate-User',
    'impersonate-group',
    'Impersonate-Extra-x',
  ],
  ...['X-Remote-User', 'x-remote-extra-y', 'X_Remote_Group', 'Impersonate_User', 'Proxy-Authorization'],
  ...[
    'Connection',
    'connection',
    'Keep-Alive',
    'TE',
    'Trailer',
    'Upgrade',
    'Proxy-Connection',
    'HTTP2-Settings',
  ],
  ...[
    'Transfer-Encoding',
    'transfer-encoding',
    'Transfer_Encoding',
    'Content-Length',
    'content-length',
    'Content_Length',
  ],
  ...[
    'Host',
    'host',
    'X-Forwarded-For',
    'X-Forwarded-Uri',
    'X-Forwarded-Host',
    'Expect',
    'Cookie',
    'X-A',
    'X-B',
    'X-C',
  ],
  ...['Sec-WebSocket-Protocol', 'X Y', 'X-\xe9', '', ' X-A', 'X-A ', 'X\tA', '\x00'],
];
const VALUES: Record<string, readonly string[]> = {
  connection: [
    'close',
    'keep-alive',
    'close, x-a',
    'X-B,upgrade',
    'host, content-length',
    'transfer-encoding',
    ', ,',
  ],
  'transfer-encoding': [
    'chunked',
    'chunked',
    'identity',
    'gzip, chunked',
    'chunked, chunked',
    '\tchunked',
    'xchunked',
    '',
  ],
  'content-length': ['0', '5', '5', '+5', '-1', '0x5', '5, 5', '05', '5 ', '99', '18446744073709551617', ''],
  host: ['h', 'h:80', '', 'a b', 'evil.example', 'u@h'],
  te: ['trailers', 'gzip', 'trailers, deflate'],
  expect: ['100-continue', 'x'],
};
const PLAIN = ['v', 'a, b', ' v ', 'v: w'];
const ODD = [
  'v',
  '',
  'v\r\n w',
  'v\nX-C: lf',
  'v\rX-C: cr',
  'v\0w',
  '\x01',
  '\x7f',
  '\xff',
  'a, b',
  ' v ',
  'v: w',
  'v'.repeat(200),
];
const ENDS = [
  ...Array.from({ length: 250 }, () => '\r\n'),
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\n',
  '\r',
  '\r\r\n',
];
const COLONS = [...Array.from({ length: 40 }, () => ': '), ':', ':\t', ' : ', ''];
const BODIES = [
  '',
  '',
  'abcde',
  '5\r\nabcde\r\n0\r\n\r\n',
  `0\r\n\r\n${SMUGGLED}`,
  SMUGGLED,
  '5\nabcde\n0\n\n',
  'ffffffffffffffff1\r\n',
];

/** One request, in whole or in part nonsense. */
function nonsense(random: Random): string {
  const path = times(3, random, () => `/${pick(SEGMENTS, random)}`).join('');
  const name = random() < 0.9 ? 'p' : pick(['P', 'q', 'p%2Fx', ''], random);
  const start = random() < 0.05 ? `http://${pick(['h', 'u@h', '', 'evil.example:80'], random)}` : '';
  const target = `${start}${prefixOf(name)}${path}${pick(QUERIES, random)}`;
  const lines = [`${pick(METHODS, random)} ${target} ${pick(VERSIONS, random)}`];
  if (random() < 0.95) lines.push('Host: h');
  for (const field of times(4, random, () => pick(NAMES, random))) {
    const own = VALUES[field.toLowerCase()];
    const isCredential = /^(auth|imp|x.rem|proxy-auth)/i.test(field);
    const value = isCredential
      ? SECRET
      : pick(own !== undefined && random() < 0.9 ? own : random() < 0.8 ? PLAIN : ODD, random);
    lines.push(`${field}${pick(COLONS, random)}${value}`);
  }
  const head = lines.map((line) => line + pick(ENDS, random)).join('');
  return `${head}\r\n${pick(BODIES, random)}`;
}

/** A request as it reached the backend: strictly what RFC 9112 allows, with no leeway in which another reader could see another request. */
interface Received {
  readonly method: string;
  readonly path: string;
  readonly fields: readonly (readonly [string, string])[];
}

/** Reads requests off a connection by the letter, and throws at whatever a stock parser might be lenient about. */
function readStrictly(bytes: string): Received[] {
  const received: Received[] = [];
  for (let rest = bytes; rest !== '';) {
    const headEnd = rest.indexOf('\r\n\r\n');
    if (headEnd < 0) throw new Error(`a head without end: ${JSON.stringify(rest)}`);
    const [line = '', ...lines] = rest.slice(0, headEnd).split('\r\n');
    const [, method = '', path = ''] = /^([A-Z]+) (\/[\x21-\xff]*) HTTP\/1\.1$/.exec(line) ?? [];
    if (method === '') throw new Error(`a request line: ${JSON.stringify(line)}`);
    const fields = lines.map((field) => {
      const [, name = '', value = ''] =
        /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([\t\x20-\x7e\x80-\xff]*)$/.exec(field) ?? [];
      if (name === '') throw new Error(`a header: ${JSON.stringify(field)}`);
      return [name.toLowerCase(), value] as const;
    });
    rest = rest.slice(headEnd + 4);
    const lengths = fields.filter(([name]) => name === 'content-length' || name === 'transfer-encoding');
    if (lengths.length > 1) throw new Error(`two lengths: ${JSON.stringify(lengths)}`);
    rest = behindBody(rest, lengths[0]);
    received.push({ method, path, fields });
  }
  return received;
}

/** What follows a body; nothing, where the body was given up before its end. */
function behindBody(rest: string, framing: readonly [string, string] | undefined): string {
  if (framing === undefined) return rest;
  const [name, value] = framing;
  if (name === 'content-length') {
    if (!/^\d+$/.test(value)) throw new Error(`a length: ${value}`);
    return rest.slice(Number(value));
  }
  if (value !== 'chunked') throw new Error(`a coding: ${value}`);
  for (;;) {
    if (rest === '') return '';
    const [whole, size] = /^([0-9a-f]+)\r\n/i.exec(rest) ?? [];
    if (whole === undefined || size === undefined) throw new Error(`a chunk: ${JSON.stringify(rest)}`);
    const length = parseInt(size, 16);
    rest = rest.slice(whole.length + length);
    if (length === 0) return rest.startsWith('\r\n') ? rest.slice(2) : (rest.split('\r\n\r\n')[1] ?? '');
    if (!rest.startsWith('\r\n')) throw new Error(`behind a chunk: ${JSON.stringify(rest)}`);
    rest = rest.slice(2);
  }
}

const ALLOWED_METHODS = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS']);
const NEVER =
  /^(authorization|impersonate[-_].*|x[-_]remote[-_].*|proxy-.*|keep-alive|upgrade|http2-settings|x-listed)$/;

function expectAllowed({ method, path, fields }: Received, sent: string): void {
  const why = JSON.stringify(sent);
  const [pathname = ''] = path.split('?');
  expect(ALLOWED_METHODS.has(method), why).to.equal(true);
  expect(sent.includes(method), why).to.equal(true);
  expect(pathname, why).to.match(/^\/[A-Za-z0-9\-_.~$&+,/:;=@%]*$/);
  expect(pathname, why).to.not.match(/\/\/|\/\.\.?(\/|$)|smuggled/);
  const names = fields.map(([name]) => name);
  expect(
    names.filter((name) => NEVER.test(name)),
    why,
  ).to.deep.equal([]);
  for (const only of ['host', 'x-forwarded-for', 'x-forwarded-uri', 'connection'])
    expect(
      names.filter((name) => name === only),
      `${only} in ${why}`,
    ).to.have.length(1);
  for (const [name, value] of fields) {
    expect(value, why).to.not.contain(SECRET);
    expect(value, why).to.not.contain('smuggled');
    if (name === 'connection') expect(value, why).to.equal('keep-alive');
    if (name === 'te') expect(value, why).to.equal('trailers');
    if (name === 'x-forwarded-for') expect(value, why).to.match(/127\.0\.0\.1$/);
    if (name === 'x-forwarded-uri')
      expect(value, why).to.match(/^\/api\/v1\/namespaces\/ns\/pods\/p\/proxy\//);
  }
  // A listed field is the connection's, whoever lists it.
  const listed = [...sent.matchAll(/^connection: (.*?)\r$/gim)].flatMap(([, value = '']) => value.split(','));
  for (const name of listed.map((field) => field.trim().toLowerCase()))
    if (/^x-[abc]$/.test(name)) expect(names, why).to.not.include(name);
}

describe('apiserver: requests that are nonsense in whole or in part', () => {
  let stage: ProxyStage;
  let connections: { bytes: string }[];
  beforeEach(async () => {
    stage = await ProxyStage.start();
    connections = [];
    await stage.raw('p', (socket) => receive(socket));
  });
  afterEach(() => stage.end());

  /** Keeps what reaches the backend, and answers each head at once. */
  const receive = (socket: Socket): void => {
    const kept = { bytes: '' };
    connections.push(kept);
    socket.on('data', (chunk: Buffer) => {
      const text = chunk.toString('latin1');
      kept.bytes += text;
      const heads = text.split('HTTP/1.1\r\n').length - 1;
      for (let head = 0; head < heads; head += 1)
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    });
  };

  for (let seed = 1; seed <= 6; seed += 1)
    it(`reach the backend as what they may be, or not at all: seed ${seed}`, async () => {
      const random = seededRandom(seed);
      let relayed = 0;
      for (let round = 0; round < 120; round += 1) {
        const sent = nonsense(random);
        const socket = await stage.connect();
        socket.on('error', () => undefined).resume();
        const over = new Promise((resolve) => socket.once('close', resolve));
        const answered = new Promise((resolve) => socket.once('data', resolve));
        socket.write(Buffer.from(sent, 'latin1'));
        await Promise.race([over, answered, turns(400)]);
        socket.destroy();
        await over;
        await Promise.all(stage.outcomes.splice(0));
        for (const { bytes } of connections)
          for (const received of readStrictly(bytes)) {
            expectAllowed(received, sent);
            relayed += 1;
          }
        connections = [];
        stage.backends.get('p')?.agent.destroy();
      }
      expect(relayed, 'most of the nonsense would prove little').to.be.greaterThan(4);
    });
});
