import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { expect } from 'chai';
import { readRegularFile, replaceFile } from '../../../lib/ssh/host-keys/replace-file.js';
import { useTempDir } from '../key-files.js';

const always = (): Promise<boolean> => Promise.resolve(true);

describe('replacing a file', () => {
  const inTempDir = useTempDir();
  const names = (): string[] => readdirSync(inTempDir('.')).sort();

  it('makes a new one readable by its owner only', async () => {
    expect(await replaceFile(inTempDir('file'), Buffer.from('x'), undefined, always)).to.equal(true);
    expect(readFileSync(inTempDir('file'), 'utf8')).to.equal('x');
    expect(statSync(inTempDir('file')).mode & 0o777).to.equal(0o600);
    expect(names()).to.deep.equal(['file']);
  });

  it('keeps the mode of the old one', async () => {
    writeFileSync(inTempDir('file'), 'old');
    chmodSync(inTempDir('file'), 0o640);
    await replaceFile(inTempDir('file'), Buffer.from('new'), readRegularFile(inTempDir('file')), always);
    expect(readFileSync(inTempDir('file'), 'utf8')).to.equal('new');
    expect(statSync(inTempDir('file')).mode & 0o777).to.equal(0o640);
  });

  it('never shows half of the content: the old file stays until the new one is complete', async () => {
    writeFileSync(inTempDir('file'), 'old');
    await replaceFile(inTempDir('file'), Buffer.from('new'), undefined, () => {
      expect(readFileSync(inTempDir('file'), 'utf8')).to.equal('old');
      const temporary = names().find((name) => name !== 'file') ?? '';
      expect(readFileSync(inTempDir(temporary), 'utf8')).to.equal('new');
      return always();
    });
    expect(readFileSync(inTempDir('file'), 'utf8')).to.equal('new');
  });

  it('replaces a symbolic link at the path and leaves what it points to alone', async () => {
    writeFileSync(inTempDir('elsewhere'), 'precious');
    symlinkSync(inTempDir('elsewhere'), inTempDir('file'));
    await replaceFile(inTempDir('file'), Buffer.from('new'), undefined, always);
    expect(readFileSync(inTempDir('elsewhere'), 'utf8')).to.equal('precious');
    expect(lstatSync(inTempDir('file')).isSymbolicLink()).to.equal(false);
  });

  it('changes nothing and leaves nothing behind when it may not, or fails', async () => {
    writeFileSync(inTempDir('file'), 'old');
    const never = (): Promise<boolean> => Promise.resolve(false);
    expect(await replaceFile(inTempDir('file'), Buffer.from('new'), undefined, never)).to.equal(false);
    mkdirSync(inTempDir('directory'));
    const failed = await replaceFile(inTempDir('directory'), Buffer.from('new'), undefined, always).catch(
      (error: unknown) => error,
    );
    expect(failed).to.have.property('code');
    expect(names()).to.deep.equal(['directory', 'file']);
    expect(readFileSync(inTempDir('file'), 'utf8')).to.equal('old');
  });
});

describe('reading a regular file', () => {
  const inTempDir = useTempDir();

  it('gives nothing for a missing one and the same version for an unchanged one', () => {
    const path = inTempDir('file');
    expect(readRegularFile(path)).to.equal(undefined);
    writeFileSync(path, 'one');
    const first = readRegularFile(path);
    expect(first?.content.toString()).to.equal('one');
    expect(readRegularFile(path, first)).to.equal(first);
    writeFileSync(path, 'more');
    expect(readRegularFile(path, first)?.content.toString()).to.equal('more');
  });

  it('refuses symbolic links, directories and pipes, without waiting for a writer', () => {
    writeFileSync(inTempDir('file'), 'x');
    symlinkSync(inTempDir('file'), inTempDir('link'));
    mkdirSync(inTempDir('directory'));
    execFileSync('mkfifo', [inTempDir('pipe')]);
    expect(() => readRegularFile(inTempDir('link')))
      .to.throw()
      .with.property('code', 'ELOOP');
    expect(() => readRegularFile(inTempDir('directory'))).to.throw('not a regular file');
    expect(() => readRegularFile(inTempDir('pipe'))).to.throw('not a regular file');
  });
});
