import { expect } from 'chai';
import { mkdtemp, rm, stat, symlink, unlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileVersions } from '../../lib/files/follow-files.js';

describe('fileVersions', () => {
  let directory: string;
  let path: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'follow-files-'));
    path = join(directory, 'file');
    await writeFile(path, 'one');
  });

  afterEach(() => rm(directory, { recursive: true }));

  it('are the same while nothing changes', () => {
    expect(fileVersions([path])).to.equal(fileVersions([path]));
  });

  it('are others though size and time of the change are as they were, as tar and rsync leave them', async () => {
    const then = new Date(0);
    await utimes(path, then, then);
    const before = fileVersions([path]);
    await writeFile(path, 'two');
    await utimes(path, then, then);
    expect((await stat(path)).mtimeMs).to.equal(0);
    expect(fileVersions([path])).to.not.equal(before);
  });

  it('are others when one is missing, or is there', async () => {
    const link = join(directory, 'link');
    const missing = fileVersions([path, link]);
    await symlink('file', link);
    const present = fileVersions([path, link]);
    expect(present).to.not.equal(missing);
    await unlink(path);
    expect(fileVersions([path, link]))
      .to.not.equal(present)
      .and.not.equal(missing);
  });
});
