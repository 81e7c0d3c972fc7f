import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';

/** `O_NONBLOCK`: opening a FIFO must not wait for a writer. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/**
 * Reads a regular file that is no longer than `maxBytes`. Whatever else the path leads to is refused: of a FIFO or a device nobody knows
 * when, if ever, there is an end, and who waits for it cannot be stopped.
 *
 * @throws an error of the system, or one that says what is wrong
 */
export async function readRegularFile(path: string, maxBytes: number): Promise<Buffer> {
  const handle = await open(path, FLAGS);
  try {
    check(await handle.stat(), maxBytes);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/** {@link readRegularFile}, for where nobody can wait: a FIFO would hold up the whole process. */
export function readRegularFileSync(path: string, maxBytes: number): Buffer {
  const descriptor = openSync(path, FLAGS);
  try {
    check(fstatSync(descriptor), maxBytes);
    return readFileSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function check(stat: Stats, maxBytes: number): void {
  if (!stat.isFile()) throw new Error('it is not a regular file');
  if (stat.size > maxBytes) throw new Error(`it is longer than ${maxBytes} bytes`);
}
