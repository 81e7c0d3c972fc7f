import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { link, open, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';

/** A file as it was when it was read. */
export interface FileVersion {
  readonly content: Buffer;
  /** Changes whenever the file does. */
  readonly stamp: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

const ignore = (): void => undefined;

/**
 * Reads a regular file, not through a symbolic link. `undefined` if there is none; the known version itself
 * if that is what is there.
 *
 * @throws an error of the file system, with `code` `ELOOP` for a symbolic link
 */
export function readRegularFile(path: string, known?: FileVersion): FileVersion | undefined {
  let fd: number;
  try {
    // O_NONBLOCK: opening a FIFO must not wait for a writer.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const stat = fstatSync(fd, { bigint: true });
    if (!stat.isFile()) throw new Error(`${path} is not a regular file`);
    const stamp = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
    if (stamp === known?.stamp) return known;
    return {
      content: readFileSync(fd),
      stamp,
      mode: Number(stat.mode) & 0o777,
      uid: Number(stat.uid),
      gid: Number(stat.gid),
    };
  } finally {
    closeSync(fd);
  }
}

/**
 * Gives a path new content, all or nothing, durably: a temporary file beside it is written, synced and
 * renamed over it. A symbolic link at the path is replaced and not followed.
 *
 * @param previous - whose mode and owner the new file gets; without one its mode is 0600
 * @param mayReplace - asked last before the change; if it says no, nothing is changed
 * @returns whether the content was replaced
 * @throws an error of the file system; the temporary file is gone then
 */
export async function replaceFile(
  path: string,
  content: Buffer,
  previous: FileVersion | undefined,
  mayReplace: () => Promise<boolean>,
): Promise<boolean> {
  const temporary = await writeBeside(path, content, previous);
  let replaced = false;
  try {
    if (!(await mayReplace())) return false;
    await rename(temporary, path);
    replaced = true;
  } finally {
    if (!replaced) await unlink(temporary).catch(ignore);
  }
  await syncDirectory(dirname(path)).catch(ignore);
  return true;
}

/**
 * Makes a file with mode 0600 where there is none, all or nothing, durably: a temporary file beside it is written, synced and linked to it.
 *
 * @throws an error of the file system, with `code` `EEXIST` when there is something at the path; the temporary file is gone then
 */
export async function createFile(path: string, content: Buffer): Promise<void> {
  const temporary = await writeBeside(path, content, undefined);
  try {
    // Unlike rename, it never replaces anything.
    await link(temporary, path);
  } finally {
    await unlink(temporary).catch(ignore);
  }
  await syncDirectory(dirname(path)).catch(ignore);
}

/** Writes a temporary file, and returns its path. */
async function writeBeside(
  path: string,
  content: Buffer,
  previous: FileVersion | undefined,
): Promise<string> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}.tmp`;
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const handle = await open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    try {
      await handle.writeFile(content);
      if (previous !== undefined) {
        // Only root may give files away; for everybody else the owner is right already.
        await handle.chown(previous.uid, previous.gid).catch(ignore);
        await handle.chmod(previous.mode);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    return temporary;
  } catch (error) {
    await unlink(temporary).catch(ignore);
    throw error;
  }
}

/** Makes the rename itself durable. Some systems cannot open a directory; they lose no content by it. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
