import { execFile } from 'node:child_process';
import { mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';

/**
 * Compiles a tree's lib/ as `npm run build` does, but apart from its dist/. The sources cannot be measured as they are: tsx wraps every
 * function that has a name (esbuild's `keepNames`), which costs as much as what is measured.
 *
 * @param root - the tree, with its node_modules
 * @param directory - where to put the result
 * @returns the directory of `index.js`
 */
export async function buildLibrary(root: string, directory: string): Promise<string> {
  const home = await mkdtemp(join(directory, 'library-'));
  const built = join(home, 'dist');
  const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
  await writeFile(join(home, 'package.json'), '{ "type": "module" }');
  await symlink(join(root, 'node_modules'), join(home, 'node_modules'), 'dir');
  await promisify(execFile)(process.execPath, [
    tsc,
    '-p',
    root,
    '--outDir',
    built,
    '--noCheck',
    '--declaration',
    'false',
  ]);
  return built;
}
