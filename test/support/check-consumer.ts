/**
 * Packs the library, installs it in an empty folder as a user would, and compiles and runs a program there that uses every entry point:
 * without skipLibCheck, without the types of our dependencies, as an ES module and by `require`. Then the same with the optional
 * peers, for the entry points that need them.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tunnel-dialer-consumer-'));
const run = (command: string, args: readonly string[], cwd = folder): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
const install = (...packages: readonly string[]): string =>
  run('npm', ['install', '--silent', '--no-audit', '--no-fund', ...packages]);

function compileAndRun(program: string): void {
  copyFileSync(join(root, `test/consumer/${program}.ts`), join(folder, `${program}.ts`));
  const options = ['--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node'];
  run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), ...options, `${program}.ts`]);
  run(process.execPath, [`${program}.js`]);
}

try {
  const packed =
    run('npm', ['pack', '--silent', '--pack-destination', folder], root).trim().split('\n').at(-1) ?? '';
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
  install(join(folder, packed), '@types/node@20');
  compileAndRun('program');
  run(process.execPath, ['-p', "typeof require('tunnel-dialer').TunnelDialer"]);
  install('prom-client@15');
  compileAndRun('metrics');
  install('@kubernetes/client-node@1');
  compileAndRun('kubernetes');
  // The declarations of client-node itself need them.
  install('@types/ws@8');
  compileAndRun('client-node');
  console.log('a program that uses the packed library compiles and runs');
} finally {
  rmSync(folder, { recursive: true, force: true });
}
