import { expect } from 'chai';
import { spelledOut } from '../../../lib/printable.js';
import { StatusError } from '../../../lib/apiserver/status-error.js';
import {
  parseTargetName,
  portNumberIn,
  type TargetKind,
} from '../../../lib/apiserver/targets/target-name.js';
import { thrownBy } from './thrown-by.js';

describe('apiserver: names of targets', () => {
  const good: Record<string, [scheme: string, name: string, port: string]> = {
    aoeu: ['', 'aoeu', ''],
    'aoeu:': ['', 'aoeu', ''],
    'aoeu:asdf': ['', 'aoeu', 'asdf'],
    ':aoeu:': ['', 'aoeu', ''],
    ':aoeu:asdf': ['', 'aoeu', 'asdf'],
    'http:aoeu:': ['http', 'aoeu', ''],
    'http:aoeu:asdf': ['http', 'aoeu', 'asdf'],
    'https:aoeu:': ['https', 'aoeu', ''],
    'https:aoeu:asdf': ['https', 'aoeu', 'asdf'],
    'node-1.example.com:10250': ['', 'node-1.example.com', '10250'],
  };
  for (const [text, [scheme, name, port]] of Object.entries(good)) {
    it(`AC-1 are read from ${text}`, () => {
      expect(parseTargetName('pod', text)).to.deep.equal({ scheme, name, port });
    });
  }

  const malformed = [
    '',
    ':',
    '::',
    ':asdf',
    'aoeu:asdf:htns',
    'http::asdf',
    'http::',
    'ftp:aoeu:',
    'HTTP:aoeu:',
    'a:b:c:d',
    'http:a:b:c:d',
  ];
  for (const text of malformed) {
    it(`AC-1 are refused in ${JSON.stringify(text)}`, () => {
      for (const kind of ['node', 'pod', 'service'] satisfies TargetKind[]) {
        const error = thrownBy(() => parseTargetName(kind, text));
        expect(error).to.be.instanceOf(StatusError);
        expect(error).to.include({
          code: 400,
          reason: 'BadRequest',
          message: `invalid ${kind} request "${text}"`,
        });
      }
    });
  }

  const hostile = [
    '..',
    '.',
    'a/b',
    'a\\b',
    'a%2fb',
    '%2e%2e',
    'a?b',
    'a#b',
    'a b',
    'A',
    'a..b',
    '-a',
    'a-',
    'a_b',
    'ä',
    'a\n',
    'a\r\nx: y',
    'a\0',
    'a\u202e',
    'x'.repeat(254),
    'a:80/../secrets',
    'a:..%2f',
    'a:8 0',
    'a:80\n',
    `a:${'8'.repeat(64)}`,
    '[::1]',
    '1.2.3.4:80@x',
  ];
  for (const text of hostile) {
    it(`that no object can have, or would lead elsewhere, are refused: ${spelledOut(JSON.stringify(text)).slice(0, 30)}`, () => {
      expect(thrownBy(() => parseTargetName('node', text)))
        .to.be.instanceOf(StatusError)
        .and.include({ code: 400 });
    });
  }

  it('are shown in a refusal without what acts on a terminal, and cut', () => {
    const { message } = thrownBy(() => parseTargetName('pod', `\x1b[2J\u202e${'x'.repeat(10_000)}`));
    expect(message).to.match(/^invalid pod request "\\u001b\[2J\\u202ex+…"$/);
    expect(message.length).to.be.below(400);
  });

  it('have a port that is a number only when it is written as one', () => {
    expect(['1', '80', '65535'].map(portNumberIn)).to.deep.equal([1, 80, 65_535]);
    const others = ['', '0', '080', '65536', '99999', '-1', '+80', '8e1', '0x50', '80.0', ' 80', 'http'];
    expect(others.map(portNumberIn)).to.deep.equal(others.map(() => undefined));
  });
});
