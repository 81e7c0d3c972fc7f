import { chmodSync, linkSync, lstatSync, mkdtempSync, rmSync, unlinkSync, type Stats } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { InvalidOptionError } from '../errors.js';
import { bound } from './bound.js';

const SOCKET_NAME = 's';

/** What the private folder takes of a path: `/.XXXXXX/s`. */
export const PRIVATE_NAME_BYTES = '/.XXXXXX/'.length + SOCKET_NAME.length;

/**
 * Has a server listen at a path that nobody else can connect to at any time: the socket is made in a folder that only we may enter, gets
 * mode 0600 there, and only then its name. The process's umask would do as well, but is that of all threads. Links do not replace:
 * what has the name keeps it, unless it is a socket on which nobody listens.
 *
 * @returns takes the name away, if it is still ours
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` when the folder cannot be written to, or there is something at the path
 *   that is no socket; an Error with `code` `EADDRINUSE` when somebody listens there
 */
export async function listenOnPath(server: Server, path: string): Promise<() => void> {
  const folder = privateFolder(path);
  try {
    const socket = join(folder, SOCKET_NAME);
    // A worker of node:cluster would have it made by the primary, at a path of which it knows nothing.
    await bound(server, { path: socket, exclusive: true });
    chmodSync(socket, 0o600);
    if (!hasLinked(socket, path)) {
      await removeStale(path);
      if (!hasLinked(socket, path)) throw inUse(path);
    }
    const ours = lstatSync(socket);
    return () => removeIfSame(path, ours);
  } catch (error) {
    server.close();
    throw error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function privateFolder(path: string): string {
  try {
    return mkdtempSync(`${dirname(path)}/.`);
  } catch (cause) {
    const { code = 'unknown' } = cause as NodeJS.ErrnoException;
    const problem = code === 'ENOENT' ? 'does not exist: make it first' : `cannot be written to (${code})`;
    throw new InvalidOptionError('at.path', `is in the folder ${dirname(path)}, which ${problem}`, { cause });
  }
}

/** `false` when there is something at the path. */
function hasLinked(socket: string, path: string): boolean {
  try {
    linkSync(socket, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new InvalidOptionError('at.path', `${path} is there already and no socket: move it away`);
  }
  const code = await connectError(path);
  if (code === 'ENOENT') return;
  if (code !== 'ECONNREFUSED') throw inUse(path, code);
  removeIfSame(path, found);
}

/** What a connection to the path fails with; `undefined` if it does not. */
function connectError(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
  });
}

function removeIfSame(path: string, { dev, ino }: Stats): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.dev === dev && found.ino === ino) unlinkSync(path);
}

/** As `node:net` says it. */
function inUse(path: string, code?: string): Error {
  const why =
    code === undefined ? 'somebody listens there' : `it cannot be told whether it is stale, ${code}`;
  return Object.assign(new Error(`listen EADDRINUSE: ${path} is a socket in use (${why})`), {
    code: 'EADDRINUSE',
    syscall: 'listen',
    address: path,
  });
}
