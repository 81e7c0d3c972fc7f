import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { InvalidOptionError } from '../../../lib/errors.js';
import { parsePrivateKey } from '../../../lib/ssh/login/private-key.js';
import { wireString, wireUint32 } from '../../../lib/ssh/host-keys/wire.js';
import { blobOf, generateKeyFiles, SAMPLE_KEYS, sshKeygen, useTempDir } from '../key-files.js';

const PASSPHRASE = 'correct horse battery staple';

const TYPES: readonly (readonly [name: string, type: string, ...options: string[]])[] = [
  ['Ed25519', 'ed25519'],
  ['ECDSA nistp256', 'ecdsa', '-b', '256'],
  ['ECDSA nistp384', 'ecdsa', '-b', '384'],
  ['ECDSA nistp521', 'ecdsa', '-b', '521'],
  // Short, because longer ones take long to make.
  ['RSA', 'rsa', '-b', '1024'],
];

/** Forms of ssh-keygen; it writes Ed25519 keys in its own form whatever it is told. */
const FORMS: readonly (readonly [name: string, ...options: string[]])[] = [
  ['OpenSSH'],
  ['PKCS#8', '-m', 'PKCS8'],
  ['PEM', '-m', 'PEM'],
];

function refusal(privateKey: unknown, passphrase?: unknown): InvalidOptionError {
  try {
    parsePrivateKey(privateKey, passphrase);
  } catch (error) {
    expect(error).to.be.instanceOf(InvalidOptionError);
    return error as InvalidOptionError;
  }
  throw new Error('nothing was thrown');
}

const pkcs8 = (key: KeyObject, passphrase?: string): string =>
  key
    .export({
      type: 'pkcs8',
      format: 'pem',
      ...(passphrase === undefined ? {} : { cipher: 'aes-256-cbc', passphrase }),
    })
    .toString();

describe('a private key', () => {
  const inTempDir = useTempDir();

  for (const [typeName, type, ...typeOptions] of TYPES) {
    for (const [formName, ...formOptions] of FORMS) {
      for (const passphrase of ['', PASSPHRASE]) {
        it(`of ${typeName} in the ${formName} form${passphrase && ', encrypted,'} is parsed`, () => {
          const options = [...typeOptions, ...formOptions];
          const { privateKey, publicKey } = generateKeyFiles(inTempDir('key'), type, passphrase, ...options);
          for (const text of [privateKey, Buffer.from(privateKey), privateKey.replaceAll('\n', '\r\n')]) {
            const key = parsePrivateKey(text, passphrase === '' ? undefined : passphrase);
            expect(key.getPublicSSH()).to.deep.equal(blobOf(publicKey));
          }
          if (passphrase === '') return;
          parsePrivateKey(privateKey, Buffer.from(passphrase));
          for (const none of [undefined, '', Buffer.alloc(0)]) {
            expect(refusal(privateKey, none)).to.include({ option: 'ssh.passphrase' });
            expect(refusal(privateKey, none).message).to.include('is missing: the private key is encrypted');
          }
          const wrong = refusal(privateKey, 'wrong passphrase');
          expect(wrong.option).to.equal('ssh.passphrase');
          expect(wrong.message).to.include('does not decrypt');
          expect(inspect(wrong)).to.not.include('wrong passphrase');
        });
      }
    }
  }

  for (const [name, pair] of Object.entries({
    Ed25519: () => generateKeyPairSync('ed25519'),
    'ECDSA nistp256': () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    'ECDSA nistp521': () => generateKeyPairSync('ec', { namedCurve: 'P-521' }),
    RSA: () => generateKeyPairSync('rsa', { modulusLength: 1024 }),
  })) {
    it(`of ${name} in PKCS#8 as OpenSSL writes it signs as its public half expects`, () => {
      const { privateKey } = pair();
      for (const [text, passphrase] of [
        [pkcs8(privateKey), undefined],
        [pkcs8(privateKey, PASSPHRASE), PASSPHRASE],
      ] as const) {
        const key = parsePrivateKey(text, passphrase);
        const data = randomBytes(100);
        const hash = name === 'RSA' ? 'sha512' : undefined;
        expect(key.verify(data, key.sign(data, hash), hash)).to.equal(true);
      }
      expect(refusal(pkcs8(privateKey, PASSPHRASE)).option).to.equal('ssh.passphrase');
      expect(refusal(pkcs8(privateKey, PASSPHRASE), 'wrong').option).to.equal('ssh.passphrase');
    });
  }

  it('of Ed25519 in PKCS#8 is the same key as in its OpenSSH form', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
    const expected = Buffer.concat([wireString('ssh-ed25519'), wireString(raw)]);
    expect(parsePrivateKey(pkcs8(privateKey), undefined).getPublicSSH()).to.deep.equal(expected);
  });

  for (const cipher of ['aes128-cbc', 'aes256-gcm@openssh.com', '3des-cbc']) {
    it(`encrypted with ${cipher} is parsed`, () => {
      const { privateKey } = generateKeyFiles(inTempDir('key'), 'ed25519', PASSPHRASE, '-Z', cipher);
      parsePrivateKey(privateKey, PASSPHRASE);
      expect(refusal(privateKey, 'wrong').option).to.equal('ssh.passphrase');
    });
  }

  it('encrypted with the cipher that cannot be undone is refused with the command that changes it', () => {
    const { privateKey } = generateKeyFiles(
      inTempDir('key'),
      'ed25519',
      PASSPHRASE,
      '-Z',
      'chacha20-poly1305@openssh.com',
    );
    expect(refusal(privateKey, PASSPHRASE).message).to.include('ssh-keygen -p -Z aes256-ctr');
  });

  it('indented, behind a byte order mark, or with parameters in front is parsed', () => {
    const { privateKey } = generateKeyFiles(inTempDir('key'), 'ed25519');
    parsePrivateKey(`\uFEFF\n${privateKey.replace(/^/gm, '    ')}\n\n`, undefined);
    const sec1 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      .privateKey.export({ type: 'sec1', format: 'pem' })
      .toString();
    const parameters = '-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n';
    parsePrivateKey(parameters + sec1, undefined);
    parsePrivateKey(sec1.replace(/^/gm, '  '), undefined);
  });

  it('may come with a passphrase that it does not need', () => {
    parsePrivateKey(generateKeyFiles(inTempDir('key'), 'ed25519').privateKey, PASSPHRASE);
  });

  describe('is refused', () => {
    const openSshOf = (type: string): string => {
      const data = Buffer.concat([
        ...[Buffer.from('openssh-key-v1\0'), wireString('none'), wireString('none'), wireString('')],
        ...[wireUint32(1), wireString(wireString(type)), wireString('')],
      ]);
      return `-----BEGIN OPENSSH PRIVATE KEY-----\n${data.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`;
    };
    const cases: readonly (readonly [what: string, value: () => unknown, message: RegExp])[] = [
      ['when it is empty', () => ' \n', /is empty/],
      ['when it is nothing', () => null, /must be a string or a Buffer, got null/],
      ['when it is a number', () => 42, /got a number/],
      ['when it is an array of bytes', () => [1, 2], /got an array/],
      [
        'when it is an absolute path',
        () => '/home/me/.ssh/id_ed25519',
        /looks like a path: read the file first/,
      ],
      ['when it is a path from home', () => '~/.ssh/id_ed25519', /read the file first/],
      ['when it is a relative path', () => './id_ed25519', /read the file first/],
      ['when it is a path of Windows', () => 'C:\\keys\\id_ed25519', /read the file first/],
      ['when it is a public key', () => SAMPLE_KEYS.ed25519, /is a public key: give the private key/],
      [
        'when it is a public key in PEM',
        () => generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' }),
        /is a public key/,
      ],
      [
        'when it is a public key in the form of RFC 4716',
        () => {
          generateKeyFiles(inTempDir('key'), 'ed25519');
          return sshKeygen('-e', '-f', inTempDir('key.pub'));
        },
        /is a public key/,
      ],
      ['when it is in the form of PuTTY', () => 'PuTTY-User-Key-File-3: ssh-ed25519\n', /puttygen/],
      [
        'when it is a certificate',
        () => '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
        /is not a private key/,
      ],
      ['when it is any text', () => 'secret', /is not a private key/],
      [
        'when it has lost its line breaks',
        () => generateKeyFiles(inTempDir('key'), 'ed25519').privateKey.replaceAll('\n', '\\n'),
        /lost its line breaks/,
      ],
      [
        'when it has been cut short',
        () => generateKeyFiles(inTempDir('key'), 'ed25519').privateKey.slice(0, 200),
        /is not a private key/,
      ],
      [
        'when it has been damaged',
        () => generateKeyFiles(inTempDir('key'), 'rsa', '', '-b', '1024').privateKey.replace(/\n.{40}/, '\n'),
        /is damaged/,
      ],
      [
        'when its PEM is damaged',
        () => '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----',
        /is damaged/,
      ],
      ['when it is DSA in the OpenSSH form', () => openSshOf('ssh-dss'), /DSA.*ssh-keygen -t ed25519/],
      ['when it needs its hardware', () => openSshOf('sk-ssh-ed25519@openssh.com'), /use ssh.agent/],
      [
        'when it is of a type of tomorrow',
        () => openSshOf('ssh-tomorrow'),
        /is of type ssh-tomorrow, which is not supported/,
      ],
      [
        'when it is DSA in PEM',
        () => pkcs8(generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 }).privateKey),
        /DSA/,
      ],
      [
        'when it is Ed448',
        () => pkcs8(generateKeyPairSync('ed448').privateKey),
        /type ed448, which is not supported/,
      ],
      ['when it is X25519', () => pkcs8(generateKeyPairSync('x25519').privateKey), /not supported/],
      [
        'when it is RSA-PSS',
        () => pkcs8(generateKeyPairSync('rsa-pss', { modulusLength: 1024 }).privateKey),
        /not supported/,
      ],
      [
        'when it is on a curve that SSH does not have',
        () => pkcs8(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey),
        /ECDSA secp256k1, which is not supported/,
      ],
    ];
    for (const [what, value, message] of cases) {
      it(what, () => {
        const given = value();
        const error = refusal(given);
        expect(error.option).to.equal('ssh.privateKey');
        expect(error.message).to.match(message);
        if (typeof given === 'string' && given.trim() !== '')
          expect(inspect(error)).to.not.include(given.trim());
      });
    }

    it('when its halves do not fit together', () => {
      const parts = ['a', 'b'].map((name) => {
        const { privateKey } = generateKeyFiles(inTempDir(name), 'ed25519');
        const [, base64 = ''] = /-----\n([^-]+)-----END/.exec(privateKey) ?? [];
        return Buffer.from(base64, 'base64');
      });
      const [one, other] = parts as [Buffer, Buffer];
      // The private part: two check numbers, the type, the public key, the seed and the public key again.
      const seedAt = one.indexOf(Buffer.from([0, 0, 0, 64])) + 4;
      other.copy(one, seedAt, seedAt, seedAt + 32);
      const text = `-----BEGIN OPENSSH PRIVATE KEY-----\n${one.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----`;
      expect(refusal(text).message).to.include('what it signs does not verify');
    });

    it('with a passphrase of another type', () => {
      const { privateKey } = generateKeyFiles(inTempDir('key'), 'ed25519', PASSPHRASE);
      for (const passphrase of [42, null, {}, ['x']]) {
        expect(refusal(privateKey, passphrase).option).to.equal('ssh.passphrase');
      }
    });
  });

  it('of any bytes fails with InvalidOptionError only, whatever the armour', () => {
    for (let round = 0; round < 200; round++) {
      const bytes = randomBytes(round);
      const base64 = Buffer.concat([Buffer.from(round % 2 === 0 ? 'openssh-key-v1\0' : ''), bytes]).toString(
        'base64',
      );
      refusal(bytes);
      for (const kind of ['OPENSSH ', 'ENCRYPTED ', 'RSA ', 'EC ', 'DSA ', '']) {
        refusal(
          `-----BEGIN ${kind}PRIVATE KEY-----\n${base64}\n-----END ${kind}PRIVATE KEY-----\n`,
          'passphrase',
        );
      }
    }
  });

  it('of which any one byte is changed is refused or is still a key that signs', () => {
    const { privateKey } = generateKeyFiles(inTempDir('key'), 'ed25519');
    const [, base64 = ''] = /-----\n([^-]+)-----END/.exec(privateKey) ?? [];
    const data = Buffer.from(base64, 'base64');
    for (let at = 0; at < data.length; at++) {
      const changed = Buffer.from(data);
      changed.writeUInt8(changed.readUInt8(at) ^ 0x41, at);
      try {
        parsePrivateKey(
          `-----BEGIN OPENSSH PRIVATE KEY-----\n${changed.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----`,
          undefined,
        );
      } catch (error) {
        expect(error, `byte ${at}`).to.be.instanceOf(InvalidOptionError);
      }
    }
  });
});
