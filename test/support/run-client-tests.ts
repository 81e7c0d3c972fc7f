/**
 * `npm run test:clients`: the tests of the clients with those of today that need a newer Node.js than ours, and that Node.js. Both are
 * installed into a folder of their own, beside a copy of the sources. Arguments are mocha's.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const NODE = 24;
/** What is tested, at versions that Node 20 does not run. */
const CLIENTS: Readonly<Record<string, string>> = { undici: '8', got: '16', '@kubernetes/client-node': '2' };
const TESTS = [
  'test/http/*.test.ts',
  'test/http/clients/*.test.ts',
  'test/client-node/*.test.ts',
  'test/kubernetes/*.test.ts',
];
const SOURCES = ['lib', 'test', 'examples', 'package.json', 'tsconfig.json'];

const root = new URL('../../', import.meta.url).pathname;

async function run(command: string, args: readonly string[], cwd: string): Promise<number> {
  const child = spawn(command, args, { cwd, stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

/** Every package of `from`, scoped ones too. */
async function packagesIn(from: string): Promise<string[]> {
  const names = (await readdir(from)).filter((name) => !name.startsWith('.'));
  const nested = names.map(async (name) => {
    if (!name.startsWith('@')) return [name];
    return (await readdir(join(from, name))).map((inner) => `${name}/${inner}`);
  });
  return (await Promise.all(nested)).flat();
}

/** A `node_modules` with ours, but for what is in that of `newer`; what those need they find where they lie. */
async function linkPackages(folder: string, newer: string): Promise<void> {
  const ours = join(root, 'node_modules');
  for (const name of await packagesIn(ours)) {
    const from = join(Object.hasOwn(CLIENTS, name) ? newer : ours, name);
    const link = join(folder, 'node_modules', name);
    await mkdir(dirname(link), { recursive: true });
    await symlink(from, link);
  }
}

async function versionOf(newer: string, name: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(newer, name, 'package.json'), 'utf8')) as {
    version: string;
  };
  return `${name} ${version}`;
}

const folder = await mkdtemp(join(tmpdir(), 'tunnel-dialer-clients-'));
try {
  // The package that is the program itself: `node` gets it by an install script, which npm may leave out.
  const node = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
  const wanted = [`${node}@${NODE}`, ...Object.entries(CLIENTS).map(([name, major]) => `${name}@${major}`)];
  const installed = join(folder, 'installed');
  await mkdir(installed);
  const quiet = ['--no-audit', '--no-fund', '--no-package-lock', '--ignore-scripts', '--loglevel=error'];
  // Our own Node.js is too old for them, and is not to run them.
  process.exitCode = await run(
    'npm',
    ['install', ...quiet, '--engine-strict=false', '--prefix', installed, ...wanted],
    installed,
  );
  if (process.exitCode === 0) {
    const newer = join(installed, 'node_modules');
    const names = await Promise.all([node, ...Object.keys(CLIENTS)].map((name) => versionOf(newer, name)));
    console.log(`with ${names.join(', ')}`);
    for (const name of SOURCES) await cp(join(root, name), join(folder, name), { recursive: true });
    await linkPackages(folder, newer);
    const args = process.argv.slice(2);
    const files = args.some((argument) => argument.endsWith('.test.ts')) ? [] : TESTS;
    const mocha = join(root, 'node_modules/mocha/bin/mocha.js');
    process.exitCode = await run(join(newer, node, 'bin/node'), [mocha, ...args, ...files], folder);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
