import { buildSync } from 'esbuild';
import { rmSync, symlinkSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { onExit } from '../support/reaper.js';
import { temporaryDirectory } from '../support/sshd-files.js';

let folder: string | undefined;
const made = new Map<string, string>();

function makeFolder(): string {
  const path = temporaryDirectory();
  onExit(() => rmSync(path, { recursive: true, force: true }));
  symlinkSync(resolve('node_modules'), join(path, 'node_modules'), 'dir');
  return path;
}

function bundle(script: string): string {
  folder ??= makeFolder();
  const outfile = join(folder, basename(script).replace(/\.ts$/, '.mjs'));
  buildSync({
    entryPoints: [script],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: 'inline',
    tsconfig: 'test/tsconfig.json',
  });
  return outfile;
}

/**
 * A script as plain JavaScript that Node runs by itself, made once for all that this process spawns. Run from the sources, each would take
 * a second to load the library file by file; CI runs the examples like that, too.
 *
 * @param script - its path in the project
 */
export function bundled(script: string): string {
  const path = made.get(script) ?? bundle(script);
  made.set(script, path);
  return path;
}
