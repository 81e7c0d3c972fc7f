import { buildSync } from 'esbuild';
import { readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { onExit } from '../support/reaper.js';
import { temporaryDirectory } from '../support/sshd-files.js';

let folder: string | undefined;

/**
 * The examples as plain JavaScript, made once for all that this process spawns. Run from the sources, each would take a second to load
 * the library file by file; CI runs them like that, too.
 */
function bundle(): string {
  const made = temporaryDirectory();
  onExit(() => rmSync(made, { recursive: true, force: true }));
  const scripts = readdirSync('examples').filter((name) => name.endsWith('.ts'));
  const paths = [...scripts.map((name) => `examples/${name}`), 'test/examples/command-host.ts'];
  buildSync({
    entryPoints: paths,
    entryNames: '[name]',
    outdir: made,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    sourcemap: 'inline',
    tsconfig: 'test/tsconfig.json',
  });
  symlinkSync(resolve('node_modules'), join(made, 'node_modules'), 'dir');
  return made;
}

/** The path of a script of examples/, or of the host of their commands, as Node runs it by itself. */
export function bundled(script: string): string {
  folder ??= bundle();
  return join(folder, script.replace(/\.ts$/, '.mjs'));
}
