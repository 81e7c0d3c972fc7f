import { expect } from 'chai';
import { InvalidOptionError } from '../lib/errors.js';
import {
  abortSignal,
  arrayOf,
  boolean,
  callable,
  describeKind,
  describeValue,
  host,
  integer,
  milliseconds,
  nonEmptyString,
  objectOf,
  oneOf,
  optional,
  port,
  username,
  withDefault,
  type Check,
} from '../lib/validation.js';

function refusal(check: Check<unknown>, value: unknown, path = 'some.option'): InvalidOptionError {
  try {
    check(value, path);
  } catch (error) {
    expect(error).to.be.an.instanceOf(InvalidOptionError);
    return error as InvalidOptionError;
  }
  throw new Error(`accepted ${describeValue(value)}`);
}

describe('validation', () => {
  describe('an error', () => {
    it('has the path, the code, the rule and the value got', () => {
      const error = refusal(integer(1, 64), 0, 'pool.maxConnections');
      expect(error.option).to.equal('pool.maxConnections');
      expect(error.code).to.equal('ERR_TUNNEL_INVALID_OPTION');
      expect(error.message).to.equal('pool.maxConnections must be an integer from 1 to 64, got 0');
    });

    const renderings: [unknown, string][] = [
      ['10', '"10"'],
      ['', '""'],
      ['a"b\\', '"a\\"b\\\\"'],
      ['a\r\n\u001b[31m', '"a\\r\\n\\u001b[31m"'],
      ['\u007f\u009b', '"\\u007f\\u009b"'],
      ['\u202eabc\u2028\u{e0041}', '"\\u202eabc\\u2028\\udb40\\udc41"'],
      ['\ud800', '"\\ud800"'],
      ['x'.repeat(61), `"${'x'.repeat(60)}…"`],
      ['x'.repeat(60), `"${'x'.repeat(60)}"`],
      [1.5, '1.5'],
      [-0, '-0'],
      [NaN, 'NaN'],
      [-Infinity, '-Infinity'],
      [true, 'true'],
      [undefined, 'undefined'],
      [null, 'null'],
      [12n, 'a bigint'],
      [Symbol('secret'), 'a symbol'],
      [() => 'secret', 'a function'],
      [['secret'], 'an array'],
      [{ secret: 'secret' }, 'an object'],
      [Buffer.from('secret'), 'an object'],
    ];
    for (const [value, shown] of renderings) {
      it(`shows ${shown} in a harmless form`, () => {
        expect(describeValue(value)).to.equal(shown);
      });
    }

    it('shows of an option that may be secret nothing but its kind', () => {
      const values = ['hunter2', 42, true, 1n, Symbol('s'), null, undefined, [], {}];
      expect(values.map(describeKind)).to.deep.equal(
        'a string,a number,a boolean,a bigint,a symbol,null,undefined,an array,an object'.split(','),
      );
    });
  });

  describe('integer', () => {
    it('accepts its bounds and what lies between', () => {
      for (const value of [-2, 0, 3]) expect(integer(-2, 3)(value, 'n')).to.equal(value);
    });

    for (const value of [-3, 4, 0.5, NaN, Infinity, '1', 1n, null, undefined, true, [1], new Number(1)]) {
      it(`refuses ${describeValue(value)} from -2 to 3`, () => {
        expect(refusal(integer(-2, 3), value).message).to.include('must be an integer from -2 to 3, got ');
      });
    }
  });

  it('a duration is bounded by what a timer of Node can wait for', () => {
    expect(milliseconds()(0, 'ms')).to.equal(0);
    expect(milliseconds(1)(2147483647, 'ms')).to.equal(2147483647);
    for (const value of [2147483648, Infinity, -1, 0.5]) refusal(milliseconds(), value);
    refusal(milliseconds(1), 0);
  });

  describe('port', () => {
    for (const value of [1, 22, 10250, 65535]) {
      it(`accepts ${value}`, () => {
        expect(port(value, 'port')).to.equal(value);
      });
    }

    for (const value of [0, 65536, -1, NaN, 1.5, Infinity, '80', undefined, null, 80n, {}]) {
      it(`refuses ${describeValue(value)}`, () => {
        expect(refusal(port, value, 'port').message).to.equal(
          `port must be an integer from 1 to 65535, got ${describeValue(value)}`,
        );
      });
    }
  });

  describe('the simple checks', () => {
    const signal = new AbortController().signal;
    const rows: { name: string; check: Check<unknown>; good: unknown[]; bad: unknown[] }[] = [
      { name: 'boolean', check: boolean, good: [true, false], bad: [0, 'true', null, undefined] },
      {
        name: 'nonEmptyString',
        check: nonEmptyString,
        good: ['a', ' '],
        bad: ['', 1, null, new String('a')],
      },
      { name: 'username', check: username, good: ['root', 'a b', 'jörg'], bad: ['', 'a\0', 'a\nb', 7] },
      { name: 'callable', check: callable, good: [() => 1, Date], bad: [{}, 'f', null] },
      {
        name: 'abortSignal',
        check: abortSignal,
        good: [signal],
        bad: [{}, null, new AbortController(), 'x'],
      },
      {
        name: 'oneOf',
        check: oneOf('any-node', 'reject'),
        good: ['reject'],
        bad: ['Reject', '', 0, ['reject']],
      },
      { name: 'optional', check: optional(port), good: [undefined, 1], bad: [null, 0] },
    ];
    for (const { name, check, good, bad } of rows) {
      it(`${name} returns what it accepts, itself`, () => {
        for (const value of good) expect(check(value, 'x')).to.equal(value);
      });
      it(`${name} refuses the rest`, () => {
        for (const value of bad) expect(refusal(check, value).option).to.equal('some.option');
      });
    }

    it('oneOf names the choices', () => {
      const error = refusal(oneOf('any-node', 'reject'), 'none', 'onMiss');
      expect(error.message).to.equal(`onMiss must be 'any-node' or 'reject', got "none"`);
    });

    it('a default stands in for undefined and for nothing else', () => {
      expect(withDefault(port, 22)(undefined, 'port')).to.equal(22);
      expect(withDefault(port, 22)(2222, 'port')).to.equal(2222);
      refusal(withDefault(port, 22), null);
    });
  });

  describe('arrayOf', () => {
    it('returns a frozen copy', () => {
      const given = [1, 2];
      const checked = arrayOf(port)(given, 'ports');
      expect(checked).to.deep.equal(given);
      expect(checked).to.not.equal(given);
      expect(Object.isFrozen(checked)).to.equal(true);
    });

    it('says which member is wrong, holes included', () => {
      expect(refusal(arrayOf(port), [1, 0], 'ports').option).to.equal('ports[1]');
      expect(refusal(arrayOf(port), [1, , 3], 'ports').option).to.equal('ports[1]');
    });

    it('refuses what only resembles an array', () => {
      for (const value of [{ length: 1, 0: 1 }, 'a', new Set([1]), null, undefined])
        refusal(arrayOf(port), value);
    });
  });

  describe('objectOf', () => {
    const check = objectOf({
      maxConnections: withDefault(integer(1, 64), 4),
      idleMs: optional(milliseconds()),
      nested: withDefault(objectOf({ port }), { port: 22 }),
    });

    it('fills in defaults and returns a frozen copy', () => {
      const given = { idleMs: 5 };
      const checked = check(given, 'pool');
      expect(checked).to.deep.equal({ maxConnections: 4, idleMs: 5, nested: { port: 22 } });
      expect(Object.isFrozen(checked)).to.equal(true);
      given.idleMs = -1;
      expect(checked.idleMs).to.equal(5);
    });

    it('takes a key that is undefined for one that is left out', () => {
      expect(check({ maxConnections: undefined }, 'pool').maxConnections).to.equal(4);
    });

    it('reads each property once, so that a getter cannot change its mind', () => {
      let reads = 0;
      const sly = {
        get maxConnections() {
          return ++reads;
        },
      };
      expect(check(sly, 'pool').maxConnections).to.equal(1);
      expect(reads).to.equal(1);
    });

    it('puts the path of a nested option into the error, also below the root', () => {
      expect(refusal(check, { nested: { port: 0 } }, 'pool').option).to.equal('pool.nested.port');
      expect(refusal(check, { nested: { port: 0 } }, '').option).to.equal('nested.port');
      expect(refusal(check, 5, '').message).to.equal('options must be an object, got 5');
    });

    for (const value of [null, undefined, [], 'x', 5, () => ({})]) {
      it(`refuses ${describeValue(value)}`, () => {
        expect(refusal(check, value, 'pool').message).to.include('pool must be an object, got ');
      });
    }

    const typos: [string, string][] = [
      ['maxConnection', 'pool.maxConnections'],
      ['maxconnections', 'pool.maxConnections'],
      ['maxConections', 'pool.maxConnections'],
      ['maxConnectoins', 'pool.maxConnections'],
      ['idle', 'pool.idleMs'],
      ['idleMS', 'pool.idleMs'],
    ];
    for (const [typed, meant] of typos) {
      it(`suggests ${meant} for ${typed}`, () => {
        const error = refusal(check, { [typed]: 1 }, 'pool');
        expect(error.option).to.equal(`pool.${typed}`);
        expect(error.message).to.equal(`pool.${typed} is not a known option; did you mean ${meant}?`);
      });
    }

    it('suggests nothing that merely begins alike', () => {
      const spec = objectOf({ hostKey: optional(nonEmptyString) });
      expect(refusal(spec, { host: 'a' }, 'nodes[0]').message).to.not.include('did you mean');
    });

    it('lists the known keys when none is close', () => {
      expect(refusal(check, { colour: 1 }, '').message).to.equal(
        'colour is not a known option; known here: maxConnections, idleMs, nested',
      );
    });

    it('treats names of Object.prototype as unknown keys', () => {
      for (const key of ['toString', 'constructor', '__proto__']) {
        expect(refusal(check, JSON.parse(`{"${key}":{}}`), 'pool').option).to.equal(`pool.${key}`);
      }
    });

    it('escapes and cuts a key that is no identifier', () => {
      expect(refusal(check, { 'a\n': 1 }, 'pool').option).to.equal('pool["a\\n"]');
      expect(refusal(check, { ['k'.repeat(1e6)]: 1 }, 'pool').option).to.have.lengthOf.below(80);
    });
  });

  describe('host', () => {
    const longest = `${`${'a'.repeat(63)}.`.repeat(3)}${'b'.repeat(61)}`;
    const good = [
      'node-1',
      'NODE-1.Example.COM',
      'node-1.example.com.',
      '_sip._tcp.example.com',
      'my_service.default.svc',
      'trailing-.example.com',
      '3com.com',
      'xn--bcher-kva.example',
      'a'.repeat(63),
      longest,
      `${longest}.`,
      '10.0.0.11',
      '255.255.255.255',
      '::',
      '::1',
      'fd00:10:244::7',
      'FD00::A',
      '::ffff:10.0.0.1',
      '1:2:3:4:5:6:7:8',
      'fe80::1%eth0',
      'fe80::1%br_0.12',
      '[::1]',
      '[fe80::1%3]',
    ];
    for (const value of good) {
      it(`accepts ${describeValue(value)} as it is`, () => {
        expect(host(value, 'host')).to.equal(value);
      });
    }

    const bad: [value: unknown, why: RegExp][] = [
      ['', /must be a host name or IP address, got ""$/],
      [' ', /got " "$/],
      ['a b', /got "a b"$/],
      [' node-1', /got " node-1"$/],
      ['node-1\n', /got "node-1\\n"$/],
      ['a\0b', /got "a\\u0000b"$/],
      ['a\u007f', /got "a\\u007f"$/],
      ['.', /host name/],
      ['..', /host name/],
      ['a..b', /host name/],
      ['.a', /host name/],
      ['a..', /host name/],
      ['-oProxyCommand', /host name/],
      ['*', /host name/],
      ['a,b', /host name/],
      ['bücher.example', /in its xn-- form/],
      ['bü cher', /must be a host name or IP address, got/],
      ['a'.repeat(64), /at most 63 characters/],
      [`${longest}x`, /at most 253 characters/],
      ['x'.repeat(1e6), /at most 253 characters, got "x{60}…"$/],
      ['10.0.0.256', /mistyped IPv4/],
      ['010.0.0.1', /mistyped IPv4/],
      ['127.1', /mistyped IPv4/],
      ['0x7f000001', /mistyped IPv4/],
      ['pod.1', /mistyped IPv4/],
      ['10.0.0.1.', /mistyped IPv4/],
      ['10.0.0.1/24', /without scheme, user or path, got "10/],
      ['10.0.0.1:80', /without a port/],
      ['node-1:80', /without a port/],
      ['::1::', /without a port/],
      [':::', /without a port/],
      ['fe80::1%', /without a port/],
      ['fe80::1%a%b', /without a port/],
      ['fe80::1%a b', /without a port/],
      ['1.2.3.4%eth0', /host name/],
      ['[::1', /between brackets/],
      ['::1]', /between brackets/],
      ['[[::1]]', /between brackets/],
      ['[::1]:80', /between brackets/],
      ['[]', /between brackets/],
      ['[10.0.0.1]', /between brackets/],
      ['[node-1]', /between brackets/],
      [undefined, /got undefined$/],
      [null, /got null$/],
      [7, /got 7$/],
      [{ toString: () => 'node-1' }, /got an object$/],
      [new String('node-1'), /got an object$/],
      [['node-1'], /got an array$/],
    ];
    for (const [value, why] of bad) {
      it(`refuses ${describeValue(value)}`, () => {
        expect(refusal(host, value, 'host').message)
          .to.match(/^host must /)
          .and.to.match(why);
      });
    }

    it('never shows a URL, because a URL may hold a password', () => {
      for (const value of ['https://admin:hunter2@10.0.0.1/', 'admin:hunter2@node-1', 'ssh://x:hunter2']) {
        expect(refusal(host, value, 'host').message)
          .to.include('got a URL')
          .and.not.include('hunter2');
      }
    });
  });
});
