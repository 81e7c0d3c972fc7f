import { randomBytes } from 'node:crypto';
import { link, lstat, open, rename, unlink, type FileHandle } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** A lock that the running work holds. */
export interface LockFile {
  /** Whether it is still ours. If our process was stopped for long, another may have taken it for stale. */
  readonly isOurs: () => Promise<boolean>;
}

export interface LockTiming {
  /** A lock that stays the same for this long while we wait for it is stale: its owner is dead. */
  readonly staleMs: number;
  /** How long to wait in all. */
  readonly waitMs: number;
}

const DEFAULT_TIMING: LockTiming = { staleMs: 5_000, waitMs: 10_000 };

const POLL_MS = 20;

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

const ignore = (): void => undefined;

/** What tells this file from one that has its path, or its inode, later. `undefined`: there is none. */
async function identityOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino, mtimeNs } = await lstat(path, { bigint: true });
    return `${dev}:${ino}:${mtimeNs}`;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** `undefined`: somebody else has it. */
async function tryToCreate(path: string): Promise<FileHandle | undefined> {
  try {
    // Exclusive creation never follows a symbolic link.
    return await open(path, 'wx', 0o600);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return undefined;
    throw error;
  }
}

/** Removes a stale lock, unless it has just changed hands. */
async function breakLock(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString('hex')}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  if ((await identityOf(aside)) !== stale) await link(aside, path).catch(ignore);
  await unlink(aside);
}

async function acquire(path: string, { staleMs, waitMs }: LockTiming): Promise<FileHandle> {
  const start = performance.now();
  let seen: string | undefined;
  let seenSince = start;
  for (;;) {
    const handle = await tryToCreate(path);
    if (handle !== undefined) return handle;
    const now = performance.now();
    const current = await identityOf(path);
    if (current === undefined || current !== seen) {
      seen = current;
      seenSince = now;
    } else if (now - seenSince >= staleMs) {
      await breakLock(path, current);
      continue;
    }
    if (now - start >= waitMs) {
      throw new Error(`${path} is held by another process; if there is none, remove it`);
    }
    await delay(POLL_MS * (1 + Math.random()));
  }
}

/**
 * Runs work while holding a lock file, which keeps out other processes and other callers in this one.
 *
 * Staleness is told by watching, not by comparing clocks: an owner needs milliseconds, so a lock that stays
 * the same for seconds has none. As its owner may merely have been stopped, the work must ask `isOurs` before
 * it makes a change.
 *
 * @throws what the work throws, an error of the file system, or an error if the lock stays taken
 */
export async function withLockFile<T>(
  path: string,
  work: (lock: LockFile) => Promise<T>,
  timing: LockTiming = DEFAULT_TIMING,
): Promise<T> {
  const handle = await acquire(path, timing);
  const isOurs = async (): Promise<boolean> => {
    const ours = await handle.stat({ bigint: true });
    const current = await lstat(path, { bigint: true }).catch(ignore);
    return current?.ino === ours.ino && current.dev === ours.dev;
  };
  try {
    return await work({ isOurs });
  } finally {
    // Closed last: an inode that is open is not used again, so that it tells our lock from another's.
    if (await isOurs().catch(ignore)) await unlink(path).catch(ignore);
    await handle.close();
  }
}
