import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { HostKeyError, InvalidOptionError, TunnelError } from '../../../lib/errors.js';
import type { HostIdentity } from '../../../lib/ssh/host-keys/verifier.js';
import { knownHosts } from '../../../lib/ssh/host-keys/known-hosts.js';
import { fingerprintOf } from '../../../lib/ssh/host-keys/public-key.js';
import { trustOnFirstUse } from '../../../lib/ssh/host-keys/trust-on-first-use.js';
import { blobOf, SAMPLE_KEYS, sshKeygen, useTempDir } from '../key-files.js';

const A = blobOf(SAMPLE_KEYS.ed25519);
const B = blobOf(SAMPLE_KEYS.otherEd25519);
const RSA = blobOf(SAMPLE_KEYS.rsa);

const host = (name: string, port = 22): HostIdentity => ({ names: [name], port });
const node1 = host('node-1');
const node2 = host('node-2');

const ACCEPTED = { verdict: 'accepted' };

async function rejection(promise: Promise<unknown> | undefined): Promise<HostKeyError> {
  const error = await promise?.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(HostKeyError);
  return error as HostKeyError;
}

describe('trustOnFirstUse', () => {
  const inTempDir = useTempDir();
  const path = (): string => inTempDir('known_hosts');
  const text = (): string => readFileSync(path(), 'utf8');
  const names = (): string[] => readdirSync(inTempDir('.')).sort();

  it('accepts an unknown host but writes nothing before the handshake has succeeded', () => {
    const verifier = trustOnFirstUse(path());
    expect(verifier.keyTypes(node1)).to.equal(undefined);
    expect(verifier.verify(node1, A)).to.deep.equal(ACCEPTED);
    expect(names()).to.deep.equal([]);
    // The first handshake may have been somebody else's and failed: nothing was learnt from it.
    expect(verifier.verify(node1, B)).to.deep.equal(ACCEPTED);
  });

  it('remembers a confirmed key, in a file for its owner only, and accepts no other from then on', async () => {
    const verifier = trustOnFirstUse(path());
    await verifier.confirmed?.(node1, A);
    expect(text()).to.equal(`node-1 ${SAMPLE_KEYS.ed25519}\n`);
    expect(statSync(path()).mode & 0o777).to.equal(0o600);
    expect(names()).to.deep.equal(['known_hosts']);

    for (const again of [verifier, trustOnFirstUse(path()), knownHosts(path())]) {
      expect(again.keyTypes(node1)).to.deep.equal(['ssh-ed25519']);
      expect(again.verify(node1, A)).to.deep.equal(ACCEPTED);
      expect(again.verify(node1, B)).to.include({ reason: 'mismatch' });
      expect(again.verify(node1, RSA)).to.include({ reason: 'mismatch' });
    }
  });

  it('writes what ssh-keygen finds, with every name of the host and its port', async () => {
    const of = { names: ['2001:DB8:0::1', 'Node-1', 'not a name'], port: 2222 };
    await trustOnFirstUse(path()).confirmed?.(of, RSA);
    for (const name of ['[node-1]:2222', '[2001:db8::1]:2222']) {
      expect(sshKeygen('-l', '-F', name, '-f', path())).to.include(fingerprintOf(RSA));
    }
  });

  it('does not write again what is on record', async () => {
    writeFileSync(path(), `node-1 ${SAMPLE_KEYS.ed25519}\n`);
    const before = statSync(path(), { bigint: true });
    await trustOnFirstUse(path()).confirmed?.(node1, A);
    expect(statSync(path(), { bigint: true }).ino).to.equal(before.ino);
    expect(statSync(path(), { bigint: true }).mtimeNs).to.equal(before.mtimeNs);
  });

  it('needs no right to write for a host on record', async () => {
    writeFileSync(path(), `node-1 ${SAMPLE_KEYS.ed25519}\n`);
    // A lock of somebody else would keep a writer waiting.
    writeFileSync(inTempDir('known_hosts.lock'), '');
    await trustOnFirstUse(path()).confirmed?.(node1, A);
  });

  it('keeps every byte of what is there', async () => {
    const before = Buffer.concat([
      Buffer.from(`\uFEFF# nodes\r\n@cert-authority * ${SAMPLE_KEYS.rsa}\r\nrubbish `),
      Buffer.from([0, 0xff, 0xfe, 0x80]),
      Buffer.from(`\n\nnode-9 ${SAMPLE_KEYS.thirdEd25519} without a line break`),
    ]);
    writeFileSync(path(), before);
    chmodSync(path(), 0o644);
    await trustOnFirstUse(path()).confirmed?.(node1, A);
    expect(readFileSync(path())).to.deep.equal(
      Buffer.concat([before, Buffer.from(`\nnode-1 ${SAMPLE_KEYS.ed25519}\n`)]),
    );
    expect(statSync(path()).mode & 0o777).to.equal(0o644);
  });

  it('honours revoked keys, wildcards and hashed names of the file', async () => {
    writeFileSync(path(), `@revoked * ${SAMPLE_KEYS.ed25519}\n*.example.com ${SAMPLE_KEYS.rsa}\n`);
    const verifier = trustOnFirstUse(path());
    expect(verifier.verify(node1, A)).to.include({ reason: 'revoked' });
    expect(verifier.verify(host('a.example.com'), B)).to.include({ reason: 'mismatch' });
    expect((await rejection(verifier.confirmed?.(node1, A))).reason).to.equal('revoked');
    sshKeygen('-H', '-f', path());
    expect(verifier.verify(host('a.example.com'), B)).to.include({ reason: 'mismatch' });
  });

  it('keeps a host at another port apart', async () => {
    const verifier = trustOnFirstUse(path());
    await verifier.confirmed?.(node1, A);
    const other = host('node-1', 2222);
    expect(verifier.verify(other, B)).to.deep.equal(ACCEPTED);
    await verifier.confirmed?.(other, B);
    expect(verifier.verify(other, B)).to.deep.equal(ACCEPTED);
    expect(verifier.verify(other, A)).to.include({ reason: 'mismatch' });
    expect(verifier.verify(node1, B)).to.include({ reason: 'mismatch' });
  });

  describe('sees at once', () => {
    it('what another has added', async () => {
      const verifier = trustOnFirstUse(path());
      await trustOnFirstUse(path()).confirmed?.(node1, A);
      expect(verifier.verify(node1, B)).to.include({ reason: 'mismatch' });
      expect(verifier.keyTypes(node1)).to.deep.equal(['ssh-ed25519']);
    });

    it('what a person has removed', async () => {
      const verifier = trustOnFirstUse(path());
      await verifier.confirmed?.(node1, A);
      sshKeygen('-R', 'node-1', '-f', path());
      expect(verifier.verify(node1, B)).to.deep.equal(ACCEPTED);
    });

    it('that the file is gone', async () => {
      const verifier = trustOnFirstUse(path());
      await verifier.confirmed?.(node1, A);
      unlinkSync(path());
      expect(verifier.verify(node1, B)).to.deep.equal(ACCEPTED);
      await verifier.confirmed?.(node1, B);
      expect(text()).to.equal(`node-1 ${SAMPLE_KEYS.otherEd25519}\n`);
    });
  });

  describe('rejects a key that is confirmed', () => {
    it('after another was recorded for the host', async () => {
      const [first, second] = [trustOnFirstUse(path()), trustOnFirstUse(path())];
      expect(first.verify(node1, A)).to.deep.equal(ACCEPTED);
      expect(second.verify(node1, B)).to.deep.equal(ACCEPTED);
      await first.confirmed?.(node1, A);
      const error = await rejection(second.confirmed?.(node1, B));
      expect(error).to.include({
        reason: 'mismatch',
        fingerprint: fingerprintOf(B),
        code: 'ERR_TUNNEL_HOST_KEY',
      });
      expect(error.message).to.include(`${path()}:1`).and.to.include(fingerprintOf(A));
      expect(text()).to.equal(`node-1 ${SAMPLE_KEYS.ed25519}\n`);
    });

    it('together with another for the host', async () => {
      const verifier = trustOnFirstUse(path());
      const outcomes = await Promise.allSettled([
        verifier.confirmed?.(node2, A),
        verifier.confirmed?.(node1, A),
        verifier.confirmed?.(node1, B),
        verifier.confirmed?.({ names: ['x', 'node-1'], port: 22 }, RSA),
        verifier.confirmed?.(node1, A),
      ]);
      expect(outcomes.map(({ status }) => status)).to.deep.equal([
        'fulfilled',
        'fulfilled',
        'rejected',
        'rejected',
        'fulfilled',
      ]);
      expect(text()).to.equal(`node-2 ${SAMPLE_KEYS.ed25519}\nnode-1 ${SAMPLE_KEYS.ed25519}\n`);
    });
  });

  it('rejects a host whose names cannot be written, rather than trust it each time anew', () => {
    const verifier = trustOnFirstUse(path());
    for (const name of [
      '',
      'a b',
      'a,b',
      '*',
      'a\nb * ssh-rsa AAAA',
      '@revoked',
      '#x',
      '!x',
      '|1|x|y',
      '[x]:22',
    ]) {
      expect(verifier.verify(host(name), A), name).to.include({ reason: 'unknown' });
    }
    expect(verifier.verify({ names: [], port: 22 }, A)).to.include({ reason: 'unknown' });
    expect(verifier.verify({ names: ['*', 'node-1'], port: 22 }, A)).to.deep.equal(ACCEPTED);
  });

  it('writes nothing that it would not accept, should it be confirmed all the same', async () => {
    const verifier = trustOnFirstUse(path());
    for (const [of, key] of [
      [host('a b'), A],
      [node1, Buffer.from('rubbish')],
    ] as const) {
      expect(await rejection(verifier.confirmed?.(of, key))).to.include({ reason: 'unknown' });
    }
    expect(names()).to.deep.equal([]);
  });

  it('rejects keys that are no keys', () => {
    const verifier = trustOnFirstUse(path());
    for (const key of [Buffer.alloc(0), A.subarray(1), Buffer.concat([A, A]), blobOf(SAMPLE_KEYS.dsa)]) {
      expect(verifier.verify(node1, key)).to.deep.include({ verdict: 'rejected', reason: 'unknown' });
    }
  });

  it('loses no entry of many hosts that are confirmed at once', async () => {
    const [first, second] = [trustOnFirstUse(path()), trustOnFirstUse(path())];
    const hosts = Array.from({ length: 200 }, (_, number) => host(`node-${number}`));
    await Promise.all(hosts.map(async (of, index) => (index % 2 === 0 ? first : second).confirmed?.(of, A)));
    const verifier = knownHosts(path());
    for (const of of hosts) expect(verifier.verify(of, A), of.names[0]).to.deep.equal(ACCEPTED);
    expect(text().split('\n')).to.have.length(201);
    expect(names()).to.deep.equal(['known_hosts']);
  });

  it('loses no line that a program without its lock adds meanwhile', async () => {
    const verifier = trustOnFirstUse(path());
    const added = `node-9 ${SAMPLE_KEYS.rsa}\n`;
    let hasAdded = false;
    // Runs in each turn of the event loop; from the temporary file to the change takes several.
    const addOnce = (): void => {
      if (names().some((name) => name.endsWith('.tmp'))) {
        hasAdded = true;
        writeFileSync(path(), added);
      } else {
        setImmediate(addOnce);
      }
    };
    addOnce();
    await verifier.confirmed?.(node1, A);
    expect(hasAdded).to.equal(true);
    expect(text()).to.equal(`${added}node-1 ${SAMPLE_KEYS.ed25519}\n`);
    expect(names()).to.deep.equal(['known_hosts']);
  });

  it('loses no entry of several processes', async () => {
    const child = fileURLToPath(new URL('trust-on-first-use.child.ts', import.meta.url));
    const exits = await Promise.all(
      ['a', 'b', 'c'].map(async (prefix) => {
        const args = ['--import', 'tsx', child, path(), SAMPLE_KEYS.ed25519, '30', prefix];
        const running = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
        return (await once(running, 'exit'))[0] as unknown;
      }),
    );
    expect(exits).to.deep.equal([0, 0, 0]);
    expect(text().split('\n').filter(Boolean)).to.have.length(90);
    expect(new Set(text().split('\n').filter(Boolean)).size).to.equal(90);
    expect(names()).to.deep.equal(['known_hosts']);
  });

  describe('when it cannot write', () => {
    it('rejects with the path and what to do, and can remember later', async () => {
      mkdirSync(inTempDir('etc'));
      const inEtc = inTempDir('etc/known_hosts');
      const verifier = trustOnFirstUse(inEtc);
      rmSync(inTempDir('etc'), { recursive: true });
      const error = await rejection(verifier.confirmed?.(node1, A));
      expect(error).to.be.instanceOf(TunnelError);
      expect(error.reason).to.equal('unknown');
      expect(error.message)
        .to.include(inEtc)
        .and.to.include('let this process write')
        .and.to.include('ENOENT');
      expect(error.cause).to.have.property('code', 'ENOENT');
      mkdirSync(inTempDir('etc'));
      await verifier.confirmed?.(node1, A);
      expect(readFileSync(inEtc, 'utf8')).to.equal(`node-1 ${SAMPLE_KEYS.ed25519}\n`);
    });

    it('fails every host of the batch', async () => {
      const verifier = trustOnFirstUse(path());
      mkdirSync(path());
      const errors = await Promise.all([node1, node2].map((of) => rejection(verifier.confirmed?.(of, A))));
      for (const [index, error] of errors.entries()) expect(error.message).to.include(`"node-${index + 1}"`);
      expect(names()).to.deep.equal(['known_hosts']);
    });
  });

  describe('a symbolic link', () => {
    it('at the path is refused, and what it points to is left alone', () => {
      writeFileSync(inTempDir('precious'), '');
      symlinkSync(inTempDir('precious'), path());
      expect(() => trustOnFirstUse(path()))
        .to.throw(InvalidOptionError)
        .with.property('message')
        .that.includes('symbolic link');
    });

    it('that appears at the path later makes confirmation fail and is not followed', async () => {
      const verifier = trustOnFirstUse(path());
      await verifier.confirmed?.(node1, A);
      renameSync(path(), inTempDir('old'));
      writeFileSync(inTempDir('precious'), 'precious');
      symlinkSync(inTempDir('precious'), path());
      // What was known before stays in force.
      expect(verifier.verify(node1, B)).to.include({ reason: 'mismatch' });
      const error = await rejection(verifier.confirmed?.(node2, B));
      expect(error.message).to.include(path());
      expect(readFileSync(inTempDir('precious'), 'utf8')).to.equal('precious');
      expect(lstatSync(path()).isSymbolicLink()).to.equal(true);
    });
  });

  describe('the argument', () => {
    const refusal = (argument: unknown): string => {
      try {
        trustOnFirstUse(argument as string);
      } catch (error) {
        expect(error).to.be.instanceOf(InvalidOptionError);
        return (error as InvalidOptionError).message;
      }
      throw new Error('nothing was thrown');
    };

    for (const argument of ['', undefined, null, 42, {}, `node-1 ${SAMPLE_KEYS.ed25519}\n`]) {
      it(`is refused when it is ${inspect(argument).slice(0, 20)}`, () => {
        expect(refusal(argument)).to.include('must be the path');
      });
    }

    it('is refused when its directory does not exist', () => {
      expect(refusal(inTempDir('missing/known_hosts'))).to.include(
        'directory that does not exist: create it',
      );
      expect(refusal('~/no-such-directory/known_hosts')).to.include('os.homedir()');
      writeFileSync(inTempDir('file'), '');
      expect(refusal(inTempDir('file/known_hosts'))).to.include('directory that does not exist');
    });

    it('is refused when it is no regular file or cannot be opened', () => {
      mkdirSync(inTempDir('directory'));
      expect(refusal(inTempDir('directory'))).to.include('not a regular file');
      expect(refusal('known\0hosts')).to.include('cannot be read');
    });
  });
});
