import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/**
 * Reads a regular file that is no longer than `maxBytes`. Whatever else the path leads to is refused: of a FIFO or a device nobody knows
 * when, if ever, there is an end, and who waits for it cannot be stopped.
 *
 * @throws an error of the system, or one that says what is wrong
 */
export async function readRegularFile(path: string, maxBytes: number): Promise<Buffer> {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = await handle.stat();
    if (!stat.isFile()) throw new Error('it is not a regular file');
    if (stat.size > maxBytes) throw new Error(`it is longer than ${maxBytes} bytes`);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}
