import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Where system daemons live that a user's PATH often leaves out. */
const SYSTEM_DIRECTORIES = [
  '/usr/sbin',
  '/usr/local/sbin',
  '/sbin',
  '/usr/local/bin',
  '/usr/bin',
  '/opt/homebrew/sbin',
];

/**
 * The absolute path of a program on the PATH or among the system's daemons; `undefined` if it is not
 * installed.
 */
export function findProgram(name: string): string | undefined {
  const directories = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_DIRECTORIES];
  return directories
    .filter((directory) => directory.startsWith('/'))
    .map((directory) => join(directory, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}
