import { createHmac, randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { execFileSync, spawnSync } from 'node:child_process';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { debug } from '../../../lib/diagnostics.js';
import { InvalidOptionError } from '../../../lib/errors.js';
import type { HostIdentity, HostKeyVerdict } from '../../../lib/ssh/host-keys/verifier.js';
import { knownHosts } from '../../../lib/ssh/host-keys/known-hosts.js';
import { fingerprintOf } from '../../../lib/ssh/host-keys/public-key.js';
import { wireString } from '../../../lib/ssh/host-keys/wire.js';
import { blobOf, SAMPLE_KEYS, sshKeygen, useTempDir } from '../key-files.js';

const A = SAMPLE_KEYS.ed25519;
const B = SAMPLE_KEYS.otherEd25519;
const C = SAMPLE_KEYS.thirdEd25519;

const host = (name: string | string[], port = 22): HostIdentity => ({ names: [name].flat(), port });

const judge = (text: string, of: HostIdentity, key: string): HostKeyVerdict =>
  knownHosts(`${text}\n`).verify(of, blobOf(key));

/** `accepted`, `unknown`, `mismatch` or `revoked`. */
function outcome(text: string, of: HostIdentity, key: string): string {
  const verdict = judge(text, of, key);
  return verdict.verdict === 'accepted' ? 'accepted' : verdict.reason;
}

const hashed = (name: string): string => {
  const salt = randomBytes(20);
  return `|1|${salt.toString('base64')}|${createHmac('sha1', salt).update(name).digest('base64')}`;
};

/** What is written to the debug namespace of host keys meanwhile. */
function debugLines(run: () => void): string[] {
  const lines: string[] = [];
  const { enabled } = debug.hostKeys;
  const log = Object.getOwnPropertyDescriptor(debug.hostKeys, 'log');
  debug.hostKeys.enabled = true;
  debug.hostKeys.log = (format: string, ...values: unknown[]) => {
    lines.push([format, ...values].join(' '));
  };
  try {
    run();
  } finally {
    debug.hostKeys.enabled = enabled;
    if (log === undefined) Reflect.deleteProperty(debug.hostKeys, 'log');
    else Object.defineProperty(debug.hostKeys, 'log', log);
  }
  return lines;
}

function refusal(run: () => unknown): InvalidOptionError {
  try {
    run();
  } catch (error) {
    expect(error).to.be.instanceOf(InvalidOptionError);
    return error as InvalidOptionError;
  }
  throw new Error('nothing was thrown');
}

describe('knownHosts', () => {
  const inTempDir = useTempDir();

  describe('a verdict', () => {
    const table: readonly (readonly [
      name: string,
      text: string,
      of: HostIdentity,
      key: string,
      expected: string,
    ])[] = [
      ['of a listed key', `node-1 ${A}`, host('node-1'), A, 'accepted'],
      ['of another key', `node-1 ${A}`, host('node-1'), B, 'mismatch'],
      ['of another host', `node-1 ${A}`, host('node-2'), A, 'unknown'],
      ['of a host whose name contains a listed one', `node ${A}`, host('node-1'), A, 'unknown'],
      ['of a key of another type', `node-1 ${A}`, host('node-1'), SAMPLE_KEYS.rsa, 'mismatch'],
      [
        'of one of several keys',
        `node-1 ${A}\nnode-1 ${SAMPLE_KEYS.rsa}`,
        host('node-1'),
        SAMPLE_KEYS.rsa,
        'accepted',
      ],
      ['of an old and a new key', `node-1 ${A}\nnode-1 ${B}`, host('node-1'), B, 'accepted'],
      ['of one of several names', `a,node-1,b ${A}`, host('node-1'), A, 'accepted'],
      ['with a comment behind the key', `node-1 ${A} root@node-1`, host('node-1'), A, 'accepted'],
      ['with tabs and leading blanks', ` \tnode-1\t${A.replace(' ', '\t')}`, host('node-1'), A, 'accepted'],
      ['among comments and blank lines', `# x\n\n  # y\nnode-1 ${A}\n`, host('node-1'), A, 'accepted'],
      ['with CRLF', `# x\r\nnode-1 ${A}\r\n`, host('node-1'), A, 'accepted'],
      ['with a byte order mark', `\uFEFFnode-1 ${A}`, host('node-1'), A, 'accepted'],
      ['behind rubbish', `rubbish\n@what x ${B}\nnode-1 ${A}`, host('node-1'), A, 'accepted'],
      ['in capitals in the file', `NODE-1.Example ${A}`, host('node-1.example'), A, 'accepted'],
      ['in capitals in the name', `node-1.example ${A}`, host('Node-1.EXAMPLE'), A, 'accepted'],
      ['of a hashed name', `${hashed('node-1')} ${A}`, host('NODE-1'), A, 'accepted'],
      ['of a hashed name that is another', `${hashed('node-1')} ${A}`, host('node-2'), A, 'unknown'],
      [
        'of a hash of the wrong length',
        `|1|${randomBytes(20).toString('base64')}|AAAA ${A}\nnode-2 ${B}`,
        host('node-1'),
        A,
        'unknown',
      ],
      ['of a hashed name with port', `${hashed('[node-1]:2222')} ${A}`, host('node-1', 2222), A, 'accepted'],
      ['of a hashed IPv6 address', `${hashed('2001:db8::1')} ${A}`, host('2001:DB8:0::1'), A, 'accepted'],
      ['of a hashed name, other key', `${hashed('node-1')} ${A}`, host('node-1'), B, 'mismatch'],
      ['of a second name of the host', `10.0.0.11 ${A}`, host(['node-1', '10.0.0.11']), A, 'accepted'],
      [
        'of keys under different names',
        `node-1 ${A}\n10.0.0.11 ${B}`,
        host(['10.0.0.11', 'node-1']),
        A,
        'accepted',
      ],
      ['of another key under a second name', `10.0.0.11 ${A}`, host(['node-1', '10.0.0.11']), B, 'mismatch'],
      ['of IPv6 in another notation', `2001:DB8:0:0::1 ${A}`, host('2001:db8::1'), A, 'accepted'],
      ['of IPv6 in brackets', `2001:db8::1 ${A}`, host('[2001:db8::1]'), A, 'accepted'],
      ['of IPv6 with a zone', `fe80::1%eth0 ${A}`, host('FE80:0::1%eth0'), A, 'accepted'],
      ['of IPv6 with another zone', `fe80::1%eth0 ${A}`, host('fe80::1%eth1'), A, 'unknown'],
      ['of IPv6 with port', `[2001:db8:0::1]:2222 ${A}`, host('2001:db8::1', 2222), A, 'accepted'],
      ['of an IPv4-mapped address', `10.0.0.11 ${A}`, host('::ffff:10.0.0.11'), A, 'accepted'],
      [
        'of an IPv4-mapped address in hexadecimal',
        `::ffff:10.0.0.11 ${A}`,
        host('::ffff:a00:b'),
        A,
        'accepted',
      ],
      ['of a wildcard', `*.example.com ${A}`, host('a.b.example.com'), A, 'accepted'],
      ['of a wildcard that matches nothing here', `*.example.com ${A}`, host('example.com'), A, 'unknown'],
      ['of question marks', `10.0.0.1? ${A}`, host('10.0.0.11'), A, 'accepted'],
      ['of too few question marks', `10.0.0.? ${A}`, host('10.0.0.11'), A, 'unknown'],
      ['of a wildcard, other key', `* ${A}`, host('node-1'), B, 'mismatch'],
      ['of a negated name', `*,!node-1 ${A}`, host('node-1'), A, 'unknown'],
      ['of a name beside a negated one', `*,!node-1 ${A}`, host('node-2'), A, 'accepted'],
      ['of a negated name that comes first', `!node-1,* ${A}`, host('node-1'), A, 'unknown'],
      ['of a negation alone', `!node-1 ${A}`, host('node-2'), A, 'unknown'],
      ['of a second name that is negated', `*,!10.0.0.9 ${A}`, host(['node-9', '10.0.0.9']), A, 'unknown'],
      ['with port', `[node-1]:2222 ${A}`, host('node-1', 2222), A, 'accepted'],
      ['with another port', `[node-1]:2222 ${A}`, host('node-1', 2223), A, 'unknown'],
      ['with a port, asked for at 22', `[node-1]:2222 ${A}`, host('node-1'), A, 'unknown'],
      ['with port 22 written out', `[node-1]:22 ${A}`, host('node-1'), A, 'accepted'],
      ['with a wildcard for the port', `[node-1]:* ${A}`, host('node-1', 2222), A, 'accepted'],
      [
        'with a wildcard for the name',
        `[*.example.com]:2222 ${A}`,
        host('a.example.com', 2222),
        A,
        'accepted',
      ],
      ['of the key listed without the port', `node-1 ${A}`, host('node-1', 2222), A, 'accepted'],
      ['of another key than without the port', `node-1 ${A}`, host('node-1', 2222), B, 'unknown'],
      [
        'of the key without, when there is one with port',
        `node-1 ${A}\n[node-1]:2222 ${B}`,
        host('node-1', 2222),
        A,
        'mismatch',
      ],
      ['of a revoked key', `@revoked node-1 ${A}\nnode-2 ${A}`, host('node-1'), A, 'revoked'],
      [
        'of a key revoked after it was listed',
        `node-1 ${A}\n@revoked node-1 ${A}`,
        host('node-1'),
        A,
        'revoked',
      ],
      ['of a key revoked for all', `@revoked * ${A}\nnode-1 ${A}`, host('node-1'), A, 'revoked'],
      [
        'of a key revoked under a second name',
        `node-1 ${A}\n@revoked 10.0.0.1 ${A}`,
        host(['node-1', '10.0.0.1']),
        A,
        'revoked',
      ],
      [
        'of a key revoked without the port',
        `[node-1]:2222 ${A}\n@revoked node-1 ${A}`,
        host('node-1', 2222),
        A,
        'revoked',
      ],
      [
        'of a key revoked for another host',
        `node-1 ${A}\n@revoked node-2 ${A}`,
        host('node-1'),
        A,
        'accepted',
      ],
      [
        'of a good key beside a revoked one',
        `@revoked node-1 ${A}\nnode-1 ${B}`,
        host('node-1'),
        B,
        'accepted',
      ],
      ['of a host with revoked keys only', `@revoked node-1 ${A}\nnode-2 ${B}`, host('node-1'), B, 'unknown'],
      [
        'of a key whose authority is listed',
        `@cert-authority * ${A}\nnode-2 ${B}`,
        host('node-1'),
        A,
        'unknown',
      ],
      [
        'of a host listed with a DSA key',
        `node-1 ${SAMPLE_KEYS.dsa}\nnode-2 ${A}`,
        host('node-1'),
        A,
        'mismatch',
      ],
      [
        'of a host listed with a broken key',
        `node-1 ${A.slice(0, -4)}\nnode-2 ${B}`,
        host('node-1'),
        A,
        'unknown',
      ],
      ['of a host without names', `* ${A}`, host([]), A, 'unknown'],
      ['of a name that looks like a pattern', `node-1 ${A}`, host('*'), A, 'unknown'],
    ];
    for (const [name, text, of, key, expected] of table) {
      it(`${name} is ${expected}`, () => {
        expect(outcome(text, of, key)).to.equal(expected);
      });
    }

    it('is given quickly for patterns made to take long', () => {
      const text = `${'*a'.repeat(2000)}b ${A}`;
      expect(outcome(text, host('a'.repeat(2000)), A)).to.equal('unknown');
    });

    it('is given for keys of any bytes', () => {
      const verifier = knownHosts(`node-1 ${A}\n`);
      for (let round = 0; round < 300; round++) {
        const rubbish = randomBytes(round % 80);
        expect(verifier.verify(host('node-1'), rubbish)).to.include({ reason: 'mismatch' });
        expect(verifier.verify(host('node-2'), rubbish)).to.deep.equal({
          verdict: 'rejected',
          reason: 'unknown',
        });
      }
    });
  });

  describe('agrees with ssh-keygen -F', () => {
    const lines = [
      'node-1',
      'a,node-1,b',
      'NODE-1',
      'node-?',
      'node-??',
      'n*1',
      '*',
      '*.example.com',
      '*,!node-1',
      '!node-1,*',
      '!node-1',
      '!*.example.com,*',
      '!nothing,node-1',
      '[node-1]:2222',
      '[*]:2222',
      '[node-1]:*',
      '[NODE-1]:2222,node-2',
      '*:2222',
      '?node-1?:2222',
      '10.0.0.*',
      '10.0.0.11,10.0.0.12',
      '2001:db8::1',
      '[2001:db8::1]:2222',
      'fe80::*',
      ',node-1',
      'node-1,',
      hashed('node-1'),
      hashed('[node-1]:2222'),
      hashed('2001:db8::1'),
      '|1|AAAA|AAAA',
      '|2|x|y',
    ];
    const hosts = ['node-1', 'node-2', 'node-10', 'a.example.com', '10.0.0.11', '2001:db8::1', 'fe80::5'];

    const spelt = ({ name, port }: { name: string; port: number }): string =>
      port === 22 ? name : `[${name}]:${port}`;

    /** Those of the hosts that it finds; asked for by one shell, because each process that we start ourselves takes long. */
    function found(path: string, asked: readonly string[]): string[] {
      const each = 'for host; do ssh-keygen -F "$host" -f "$0" >/dev/null && echo "$host"; done; true';
      const output = execFileSync('sh', ['-c', each, path, ...asked], { encoding: 'utf8' });
      return output.split('\n').filter(Boolean);
    }

    for (const line of lines) {
      it(`on ${line.startsWith('|1|') ? 'a hashed name' : line}`, () => {
        const path = inTempDir('known_hosts');
        writeFileSync(path, `${line} ${A}\nsomething.else ${C}\n`);
        const verifier = knownHosts(path);
        const asked = hosts.flatMap((name) => [22, 2222, 2223].map((port) => ({ name, port })));
        const listed = asked.filter(({ name, port }) => {
          const verdict = verifier.verify(host(name, port), blobOf(B));
          return verdict.verdict === 'rejected' && verdict.reason === 'mismatch';
        });
        expect(listed.map(spelt)).to.deep.equal(found(path, asked.map(spelt)));
      });
    }

    it('on a file that ssh-keygen -H has hashed', () => {
      const path = inTempDir('known_hosts');
      writeFileSync(path, `node-1,10.0.0.11 ${A}\n[node-1]:2222 ${B}\n2001:db8::1 ${C}\n`);
      sshKeygen('-H', '-f', path);
      const verifier = knownHosts(path);
      for (const [of, key] of [
        [host('node-1'), A],
        [host('10.0.0.11'), A],
        [host('node-1', 2222), B],
        [host('2001:db8::1'), C],
      ] as const) {
        expect(verifier.verify(of, blobOf(key))).to.deep.equal({ verdict: 'accepted' });
      }
      expect(verifier.verify(host('node-2'), blobOf(A))).to.include({ reason: 'unknown' });
    });
  });

  describe('the key types offered', () => {
    const types = (text: string, of: HostIdentity): readonly string[] | undefined =>
      knownHosts(`${text}\n`).keyTypes(of);

    it('are those on record for the host, Ed25519 first, RSA with SHA-2 only', () => {
      const text = [SAMPLE_KEYS.rsa, SAMPLE_KEYS.ecdsa521, SAMPLE_KEYS.ecdsa256, A, B]
        .map((key) => `node-1 ${key}`)
        .join('\n');
      expect(types(`${text}\nnode-2 ${SAMPLE_KEYS.ecdsa384}`, host('node-1'))).to.deep.equal([
        'ssh-ed25519',
        'ecdsa-sha2-nistp256',
        'ecdsa-sha2-nistp521',
        'rsa-sha2-512',
        'rsa-sha2-256',
      ]);
    });

    it('are those of all names of the host together', () => {
      expect(
        types(`node-1 ${A}\n10.0.0.1 ${SAMPLE_KEYS.ecdsa256}`, host(['node-1', '10.0.0.1'])),
      ).to.deep.equal(['ssh-ed25519', 'ecdsa-sha2-nistp256']);
    });

    it('are all for a host that is not listed', () => {
      expect(types(`node-1 ${A}`, host('node-2'))).to.equal(undefined);
    });

    it('are all for a host that is listed only with keys of types nobody can use', () => {
      expect(types(`node-1 ${SAMPLE_KEYS.dsa}\nnode-2 ${A}`, host('node-1'))).to.equal(undefined);
    });

    it('leave out the type of which every key is revoked', () => {
      const text = `node-1 ${A}\nnode-1 ${SAMPLE_KEYS.ecdsa256}\n@revoked * ${A}`;
      expect(types(text, host('node-1'))).to.deep.equal(['ecdsa-sha2-nistp256']);
      expect(types(`${text}\n@revoked * ${SAMPLE_KEYS.ecdsa256}`, host('node-1'))).to.have.length(2);
    });

    it('begin with those known without the port, but leave none out, for another port', () => {
      expect(types(`node-1 ${SAMPLE_KEYS.rsa}`, host('node-1', 2222))).to.deep.equal([
        'rsa-sha2-512',
        'rsa-sha2-256',
        'ssh-ed25519',
        'ecdsa-sha2-nistp256',
        'ecdsa-sha2-nistp384',
        'ecdsa-sha2-nistp521',
      ]);
    });
  });

  describe('a hint', () => {
    const hint = (text: string, of: HostIdentity, key: string): string => {
      const verdict = judge(text, of, key);
      return verdict.verdict === 'rejected' ? (verdict.hint ?? '') : '';
    };

    it('for an unknown host holds the line to add, with the port, which then makes the key accepted', () => {
      for (const of of [
        host('Node-2'),
        host('node-2', 2222),
        host('2001:DB8::2', 2222),
        host(['bad name', 'node-2']),
      ]) {
        const text = `node-1 ${A}`;
        const line = hint(text, of, B).split(': ').at(-1)!;
        expect(outcome(text, of, B)).to.equal('unknown');
        expect(outcome(`${text}\n${line}`, of, B), line).to.equal('accepted');
      }
      expect(hint(`node-1 ${A}`, host('node-2', 2222), B)).to.match(
        /: \[node-2\]:2222 ssh-ed25519 [A-Za-z0-9+/=]+$/,
      );
    });

    it('for an unknown host says to check the key on the console first', () => {
      expect(hint(`node-1 ${A}`, host('node-2'), SAMPLE_KEYS.ecdsa256)).to.match(
        /^compare the fingerprint with "ssh-keygen -lf \/etc\/ssh\/ssh_host_ecdsa_key.pub" on the node's console/,
      );
    });

    it('for a mismatch names file, line and fingerprint of the keys on record', () => {
      const path = inTempDir('known_hosts');
      writeFileSync(path, `# nodes\nnode-1 ${A}\n`);
      const verdict = knownHosts(path).verify(host('node-1'), blobOf(B));
      expect(verdict)
        .to.have.property('hint')
        .that.includes(`${path}:2 (ssh-ed25519 ${fingerprintOf(blobOf(A))})`);
    });

    it('for a mismatch with many keys counts those it does not name', () => {
      const text = Array.from({ length: 9 }, () => `node-1 ${A}`).join('\n');
      expect(hint(text, host('node-1'), B))
        .to.include('and 6 more')
        .and.to.have.length.below(500);
    });

    it('for a revoked key names the line', () => {
      expect(hint(`node-1 ${A}\n@revoked * ${A}`, host('node-1'), A)).to.match(
        /^known_hosts line 2 revokes it/,
      );
    });

    it('never holds a control character or a line break, whatever the host is called', () => {
      for (const name of ['a\nb', 'a\u001b[2Jb', 'a b', 'a,b', '*', '@revoked', '|1|x|y', '#', '']) {
        expect(hint(`node-1 ${A}`, host(name), B), name).to.equal('');
      }
    });

    it('never holds an absurdly long key', () => {
      const huge = `ssh-rsa ${Buffer.concat([wireString('ssh-rsa'), wireString('\u0001'), wireString(Buffer.alloc(100_000, 1))]).toString('base64')}`;
      expect(hint(`node-1 ${A}`, host('node-2'), huge)).to.equal('');
    });
  });

  describe('skipped lines', () => {
    it('are named by number, and nothing of them is shown', () => {
      const secret = 'c2VjcmV0c2VjcmV0';
      const lines = debugLines(() => {
        knownHosts(
          [
            `node-1 ${A}`,
            `@cert-authority * ${A}`,
            `node-2 ssh-ed25519 ${secret}`,
            `@what node-3 ${A}`,
            secret,
            `|1|${secret}|${secret} ${A}`,
            `@revoked @cert-authority x ${A}`,
            '',
          ].join('\n'),
        );
      });
      expect(lines).to.have.length(6);
      expect(lines[0]).to.include('known_hosts line 2').and.to.include('@cert-authority is not supported');
      for (const number of [3, 4, 5, 6, 7])
        expect(lines[number - 2]).to.include(`known_hosts line ${number}`);
      expect(lines.join('\n')).not.to.include(secret);
    });

    it('name the file they are in', () => {
      const path = inTempDir('known_hosts');
      writeFileSync(path, `node-1 ${A}\nrubbish\n`);
      expect(debugLines(() => knownHosts(path)).join()).to.include(`${path}:2`);
    });
  });

  describe('the argument', () => {
    it('may be a path, a text of several lines, or one line without a line break', () => {
      const path = inTempDir('known_hosts');
      writeFileSync(path, `node-1 ${A}\n`);
      for (const argument of [path, `# comment\nnode-1 ${A}`, `node-1 ${A}`]) {
        expect(knownHosts(argument).verify(host('node-1'), blobOf(A))).to.deep.equal({ verdict: 'accepted' });
      }
    });

    it('is refused with the reason and the way out when the file is missing', () => {
      const error = refusal(() => knownHosts(inTempDir('missing')));
      expect(error.message)
        .to.match(/ENOENT/)
        .and.to.match(/give the path of a known_hosts file/);
      expect(error.cause).to.be.instanceOf(Error);
      expect(refusal(() => knownHosts('~/.ssh/known_hosts')).message).to.include('os.homedir()');
    });

    it('is refused when the file cannot be read', () => {
      mkdirSync(inTempDir('directory'));
      expect(refusal(() => knownHosts(inTempDir('directory'))).message).to.include(
        '(it is not a regular file)',
      );
      if (process.getuid?.() === 0) return; // root may read everything
      writeFileSync(inTempDir('unreadable'), `node-1 ${A}\n`);
      chmodSync(inTempDir('unreadable'), 0);
      expect(refusal(() => knownHosts(inTempDir('unreadable'))).message).to.include('EACCES');
    });

    it('is refused at once when it is no file whose end is known, or a very long one', () => {
      const refused = (path: string) => refusal(() => knownHosts(path)).message;
      expect(refused('/dev/null')).to.include('"/dev/null" (it is not a regular file)');
      // Whoever opens it as other files waits for a writer, and this test for good.
      expect(spawnSync('mkfifo', [inTempDir('fifo')]).status).to.equal(0);
      expect(refused(inTempDir('fifo'))).to.include('fifo" (it is not a regular file)');
      writeFileSync(inTempDir('long'), '');
      truncateSync(inTempDir('long'), 2 ** 26 + 1);
      expect(refused(inTempDir('long'))).to.include('(it is longer than 67108864 bytes)');
    });

    it('is refused in UTF-16, and says what is wrong with it', () => {
      writeFileSync(inTempDir('utf-16'), `\ufeffnode-1 ${A}\r\n`, 'utf16le');
      expect(refusal(() => knownHosts(inTempDir('utf-16'))).message).to.include('is UTF-16');
    });

    for (const [what, text] of Object.entries({
      'comments only': '# nothing\n\n',
      'revoked keys only': `@revoked * ${A}\n`,
      'authorities only': `@cert-authority * ${A}\n`,
      'DSA keys only': `node-1 ${SAMPLE_KEYS.dsa}\n`,
      'broken lines only': 'node-1 ssh-ed25519 AAAA\nnode-2\n',
      'a private key': '-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----\n',
    })) {
      it(`is refused when it holds ${what}, without being shown`, () => {
        const { message } = refusal(() => knownHosts(text));
        expect(message).to.include('has no usable line').and.not.to.include('c2VjcmV0');
      });
    }

    for (const argument of ['', '  ', undefined, null, 42, {}, Buffer.from(`node-1 ${A}`)]) {
      it(`is refused when it is ${inspect(argument).slice(0, 20)}`, () => {
        expect(refusal(() => knownHosts(argument as string)).message).to.include(
          'must be the path or the text',
        );
      });
    }

    it('may be any rubbish without another exception than InvalidOptionError', () => {
      for (let round = 0; round < 300; round++) {
        const rubbish = randomBytes(round).toString(round % 2 === 0 ? 'latin1' : 'utf8');
        const text = `${rubbish}\n@${rubbish}\n|1|${rubbish}\nnode-1 ssh-ed25519 ${rubbish}\n`;
        refusal(() => knownHosts(text));
        expect(outcome(`${text}node-1 ${A}`, host('node-1'), A)).to.equal('accepted');
      }
    });
  });
});
