import { existsSync, readdirSync, renameSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { withLockFile, type LockTiming } from '../../../lib/ssh/host-keys/lock-file.js';
import { useTempDir } from '../key-files.js';

/** Long enough that a lock under work is never taken for stale in these tests. */
const PATIENT: LockTiming = { staleMs: 60_000, waitMs: 60_000 };
const HASTY: LockTiming = { staleMs: 50, waitMs: 10_000 };

describe('a lock file', () => {
  const inTempDir = useTempDir();

  it('exists while the work runs, and is gone after it, whether it succeeds or fails', async () => {
    const path = inTempDir('lock');
    const result = await withLockFile(path, async ({ isOurs }) => {
      expect(existsSync(path)).to.equal(true);
      expect(await isOurs()).to.equal(true);
      return 42;
    });
    expect(result).to.equal(42);
    expect(existsSync(path)).to.equal(false);

    const failure = new Error('work failed');
    const outcome = await withLockFile(path, () => Promise.reject(failure)).catch((error: unknown) => error);
    expect(outcome).to.equal(failure);
    expect(existsSync(path)).to.equal(false);
  });

  it('lets one worker in at a time', async () => {
    const path = inTempDir('lock');
    let inside = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      most = Math.max(most, ++inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside--;
    };
    await Promise.all(Array.from({ length: 10 }, () => withLockFile(path, work, PATIENT)));
    expect(most).to.equal(1);
    expect(readdirSync(inTempDir('.'))).to.deep.equal([]);
  });

  it('that nobody holds any more is broken', async () => {
    const path = inTempDir('lock');
    writeFileSync(path, '');
    expect(await withLockFile(path, () => Promise.resolve('in'), HASTY)).to.equal('in');
    expect(readdirSync(inTempDir('.'))).to.deep.equal([]);
  });

  it('that is a symbolic link is removed and not followed', async () => {
    const path = inTempDir('lock');
    symlinkSync(inTempDir('elsewhere'), path);
    await withLockFile(path, () => Promise.resolve(), HASTY);
    expect(readdirSync(inTempDir('.'))).to.deep.equal([]);
  });

  it('that changes hands while we wait is not broken', async () => {
    const path = inTempDir('lock');
    writeFileSync(path, '');
    let handedOn = 0;
    const others = setInterval(() => {
      handedOn++;
      writeFileSync(inTempDir('next'), '');
      renameSync(inTempDir('next'), path);
      if (handedOn < 150) return;
      clearInterval(others);
      unlinkSync(path);
    }, 10);
    // Stale sooner than the others are done, but much later than any one of them is.
    const timing = { staleMs: 1_000, waitMs: 60_000 };
    expect(await withLockFile(path, () => Promise.resolve(handedOn), timing)).to.equal(150);
  });

  it('that stays taken is given up after the time to wait, with the path in the error', async () => {
    const path = inTempDir('lock');
    writeFileSync(path, '');
    const outcome = await withLockFile(path, () => Promise.resolve(), { staleMs: 60_000, waitMs: 0 }).catch(
      (error: unknown) => error,
    );
    expect(outcome).to.be.instanceOf(Error);
    expect((outcome as Error).message)
      .to.include(path)
      .and.to.include('remove it');
    expect(existsSync(path)).to.equal(true);
  });

  it('that another has broken is no longer ours, and the other one is left alone', async () => {
    const path = inTempDir('lock');
    await withLockFile(path, async ({ isOurs }) => {
      unlinkSync(path);
      expect(await isOurs()).to.equal(false);
      writeFileSync(path, 'of another');
      expect(await isOurs()).to.equal(false);
    });
    expect(existsSync(path)).to.equal(true);
  });

  it('in a directory that does not exist fails at once', async () => {
    const outcome = await withLockFile(inTempDir('missing/lock'), () => Promise.resolve()).catch(
      (error: unknown) => error,
    );
    expect(outcome).to.have.property('code', 'ENOENT');
  });
});
