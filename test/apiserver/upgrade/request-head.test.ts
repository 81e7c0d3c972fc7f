import { expect } from 'chai';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { StatusError } from '../../../lib/apiserver/index.js';
import { isUpgrade } from '../../../lib/apiserver/upgrade/is-upgrade.js';
import { nodeBound } from '../../../lib/apiserver/upgrade/node-bound.js';
import { upgradeHead, type HeadRules } from '../../../lib/apiserver/upgrade/request-head.js';

type Field = readonly [name: string, value: string];

const BASE: readonly Field[] = [
  ['Host', 'proxy'],
  ['Connection', 'Upgrade'],
  ['Upgrade', 'websocket'],
];

/** A request as Node's parser makes it, with these fields behind, or in place of, what every one has. */
function requestOf(fields: readonly Field[], { method = 'GET', version = '1.1', base = BASE } = {}) {
  const request = new IncomingMessage(new Socket());
  const raw = [...base, ...fields];
  request.method = method;
  request.httpVersion = version;
  request.rawHeaders = raw.flat();
  // As Node fills in what is read of it.
  const internal = request as unknown as { _addHeaderLines: (headers: string[], n: number) => void };
  internal._addHeaderLines(request.rawHeaders, request.rawHeaders.length);
  return request;
}

const linesOf = (request: IncomingMessage, rules?: Partial<HeadRules>, address = '192.0.2.7'): string[] => {
  const { bytes } = upgradeHead(request, { ...nodeBound(request, '/p?q', address), ...rules });
  return bytes.toString('latin1').split('\r\n');
};

const refusalOf = (request: IncomingMessage, path = '/p'): StatusError => {
  try {
    upgradeHead(request, nodeBound(request, path));
  } catch (error) {
    return error as StatusError;
  }
  throw new Error('was not refused');
};

describe('apiserver: the head of an upgrade', () => {
  it('keeps fields as they are, in their order, and repeated ones apart', () => {
    const fields: Field[] = [
      ['X-Stream-Protocol-Version', 'v4.channel.k8s.io'],
      ['cookie', 'a=b; c=d'],
      ['X-STREAM-Protocol-Version', 'channel.k8s.io'],
      ['X-8-Bit', '\xe9'],
      ['Content-Length', '0'],
    ];
    expect(linesOf(requestOf(fields, { method: 'POST' }))).to.deep.equal([
      'POST /p?q HTTP/1.1',
      'Host: proxy',
      'Upgrade: websocket',
      'X-Stream-Protocol-Version: v4.channel.k8s.io',
      'cookie: a=b; c=d',
      'X-STREAM-Protocol-Version: channel.k8s.io',
      'X-8-Bit: \xe9',
      'Content-Length: 0',
      'X-Forwarded-For: 192.0.2.7',
      'Connection: Upgrade',
      '',
      '',
    ]);
  });

  for (const name of [
    'Authorization',
    'aUTHORIZATION',
    'Proxy-Authorization',
    'Impersonate-User',
    'Impersonate-Group',
    'impersonate-extra-scopes',
    'Impersonate-Uid',
    'Impersonate_User',
    'X-Remote-User',
    'X-Remote-Group',
    'X-Remote-Extra-Scopes',
    'X_Remote_User',
  ]) {
    it(`AC-23 does not pass on ${name}`, () => {
      expect(linesOf(requestOf([[name, 'secret']])).join('\n')).not.to.include('secret');
    });
  }

  it('takes a bearer token out of the subprotocols, and leaves the others', () => {
    const token = 'base64url.bearer.authorization.k8s.io.c2VjcmV0';
    const lines = linesOf(
      requestOf([
        ['Sec-WebSocket-Protocol', `v5.channel.k8s.io, ${token},v4.channel.k8s.io`],
        ['X-Between', '1'],
        ['Sec-WebSocket-Protocol', token.replace('base64url', 'BASE64url')],
        ['Sec-WebSocket-Protocol', 'v3.channel.k8s.io,  v2.channel.k8s.io'],
      ]),
    );
    expect(lines.filter((line) => line.startsWith('Sec-'))).to.deep.equal([
      'Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io',
      'Sec-WebSocket-Protocol: v3.channel.k8s.io,  v2.channel.k8s.io',
    ]);
    expect(lines.join('\n')).not.to.include('c2VjcmV0');
  });

  it('refuses a bearer token without another subprotocol, and does not show it', () => {
    const error = refusalOf(
      requestOf([['Sec-WebSocket-Protocol', 'base64url.bearer.authorization.k8s.io.c2VjcmV0']]),
    );
    expect(error).to.include({ code: 400, message: 'missing additional subprotocol' });
  });

  it('leaves the token to whom it is for', () => {
    const token = 'base64url.bearer.authorization.k8s.io.c2VjcmV0';
    const lines = linesOf(requestOf([['Sec-WebSocket-Protocol', token]]), { passesBearer: true });
    expect(lines).to.include(`Sec-WebSocket-Protocol: ${token}`);
  });

  it('adds the client to those who have forwarded already, as one line', () => {
    const forwarded: Field[] = [
      ['X-Forwarded-For', '198.51.100.1'],
      ['x-forwarded-for', '198.51.100.2, 198.51.100.3'],
    ];
    expect(linesOf(requestOf(forwarded), {}, '::ffff:192.0.2.7')).to.include(
      'X-Forwarded-For: 198.51.100.1, 198.51.100.2, 198.51.100.3, 192.0.2.7',
    );
    expect(linesOf(requestOf([]), {}, '2001:db8::1')).to.include('X-Forwarded-For: 2001:db8::1');
  });

  it('sends one Connection, of Upgrade alone, and not what the client names in its own', () => {
    const base: Field[] = [
      ['Connection', 'close, X-Own'],
      ['Host', 'proxy'],
      ['Upgrade', 'websocket'],
      ['connection', 'uPgrade,keep-alive, Host,upgrade, X-Forwarded-For , content-length'],
    ];
    const fields: Field[] = [
      ['X-Own', 'hop'],
      ['Keep-Alive', 'timeout=5'],
      ['TE', 'trailers'],
      ['Trailer', 'X'],
      ['Proxy-Connection', 'keep-alive'],
      ['X-Forwarded-For', '198.51.100.1'],
      ['Content-Length', '3'],
    ];
    expect(linesOf(requestOf(fields, { base })).slice(1)).to.deep.equal([
      'Host: proxy',
      'Upgrade: websocket',
      'Content-Length: 3',
      'X-Forwarded-For: 198.51.100.1, 192.0.2.7',
      'Connection: Upgrade',
      '',
      '',
    ]);
  });

  it('puts another Host in the place of that of the client', () => {
    expect(linesOf(requestOf([]), { host: 'upstream:6443' })[1]).to.equal('Host: upstream:6443');
  });

  for (const protocol of ['h2c', 'H2C', 'h2', 'HTTP/2.0', 'http/1.1', 'TLS/1.2', 'websocket, h2c', 'h3']) {
    it(`refuses an upgrade to ${protocol}, in which further requests would pass unseen`, () => {
      const base: Field[] = [
        ['Host', 'proxy'],
        ['Connection', 'Upgrade, HTTP2-Settings'],
        ['Upgrade', protocol],
      ];
      expect(refusalOf(requestOf([], { base }))).to.include({ code: 400, reason: 'BadRequest' });
    });
  }

  const refused: Record<string, Parameters<typeof requestOf>> = {
    'Transfer-Encoding': [[['Transfer-Encoding', 'chunked']]],
    'Transfer-Encoding spelt with _': [[['Transfer_Encoding', 'chunked']]],
    'two lengths': [
      [
        ['Content-Length', '3'],
        ['Content-Length', '3'],
      ],
    ],
    'a length that is a list': [[['Content-Length', '3, 3']]],
    'a length with a sign': [[['Content-Length', '+3']]],
    'a length in hexadecimal': [[['Content-Length', '0x3']]],
    'an empty length': [[['Content-Length', '']]],
    'a length beyond all numbers': [[['Content-Length', '99999999999999999999']]],
    'two hosts': [[['Host', 'other']]],
    'no host': [[], { base: BASE.slice(1) }],
    'no protocol': [[], { base: BASE.slice(0, 2) }],
    'an obs-fold': [[['X', 'a\r\n b']]],
    'a bare LF': [[['X', 'a\nAuthorization: b']]],
    'a bare CR': [[['X', 'a\rb']]],
    'a NUL': [[['X', 'a\0b']]],
    'a name with a space': [[['X ', 'a']]],
    'a name with a colon': [[['X:Y', 'a']]],
    'an empty name': [[['', 'a']]],
    'HTTP/1.0': [[], { version: '1.0' }],
    'a method with a space': [[], { method: 'GET /x HTTP/1.1\r\nX:' }],
  };
  for (const [what, request] of Object.entries(refused)) {
    it(`refuses ${what}`, () => {
      expect(refusalOf(requestOf(...request)))
        .to.be.an.instanceOf(StatusError)
        .with.property('code', 400);
    });
  }

  for (const path of ['', 'exec', '/a b', '/a\r\nX: y', '/\xe9', '/a\tb', '/a\0', 'http://other/']) {
    it(`refuses the path ${JSON.stringify(path)}`, () => {
      expect(refusalOf(requestOf([]), path)).to.have.property('code', 400);
    });
  }

  it('refuses Expect with 417', () => {
    expect(refusalOf(requestOf([['Expect', '100-continue']]))).to.have.property('code', 417);
  });

  it('shows nothing of a protocol that acts on a terminal', () => {
    const base: Field[] = [...BASE.slice(0, 2), ['Upgrade', `h2c/\x9b31m${'x'.repeat(500)}`]];
    const { message } = refusalOf(requestOf([], { base }));
    expect(message).not.to.match(/\p{Cc}/u);
    expect(message.length).to.be.below(200);
  });
});

describe('apiserver: isUpgrade', () => {
  for (const connection of ['Upgrade', 'upgrade', 'close, UPGRADE', 'keep-alive,upgrade', ' upgrade , x']) {
    it(`takes ${JSON.stringify(connection)} for one`, () => {
      expect(isUpgrade({ headers: { connection } })).to.equal(true);
    });
  }

  for (const connection of [undefined, '', 'keep-alive', 'upgrades', 'x-upgrade', 'not upgrade']) {
    it(`does not take ${JSON.stringify(connection)} for one`, () => {
      expect(isUpgrade({ headers: { connection } })).to.equal(false);
    });
  }

  it('finds it on any line', () => {
    expect(isUpgrade(requestOf([['Connection', 'close']], { base: BASE }))).to.equal(true);
  });
});
