/**
 * `npm test` and `npm run test:container`: sees to it that there is an sshd to test against, then runs mocha.
 * Arguments are mocha's; without a file among them all tests run, with `--container` the integration tests.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { engineProblem, removeContainers, sshdImage } from './container-engine.js';
import { findSshd } from './find-sshd.js';
import { targetKind, type TargetKind } from './target.js';

const ALL_TESTS = 'test/**/*.test.ts';
const INTEGRATION_TESTS = 'test/integration/**/*.test.ts';

/** Nothing can be tested, and the message says why: no stack trace makes it clearer. */
class Hopeless extends Error {}

/** Decides what to test against, and tells mocha by the environment. */
async function chooseTarget(wanted: TargetKind): Promise<TargetKind> {
  if (wanted === 'external') return wanted;
  if (wanted === 'own') {
    const found = await findSshd();
    if (found.where === 'nowhere') throw new Hopeless(found.problem);
    if (found.where === 'here') return wanted;
  }
  const problem = await engineProblem();
  if (problem !== undefined) throw new Hopeless(`no container engine to test with: ${problem}`);
  console.log('building the sshd container from test/sshd/Dockerfile');
  process.env.TUNNEL_TEST_IMAGE = await sshdImage();
  process.env.TUNNEL_TEST_TARGET = 'container';
  return 'container';
}

async function runMocha(args: readonly string[]): Promise<number> {
  const mocha = new URL('../../node_modules/mocha/bin/mocha.js', import.meta.url).pathname;
  const child = spawn(process.execPath, [mocha, ...args], { stdio: 'inherit' });
  // The terminal sends Ctrl-C to mocha as well; it ends in its own way, and we clean up after it.
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => name === 'SIGTERM' && child.kill(name));
  const [code] = (await once(child, 'exit')) as [number | null];
  return code ?? 1;
}

const container = process.argv.includes('--container');
const args = process.argv.slice(2).filter((argument) => argument !== '--container');
const namesFiles = args.some((argument) => argument.endsWith('.test.ts'));
const tests = container ? INTEGRATION_TESTS : ALL_TESTS;

let target: TargetKind | undefined;
try {
  target = await chooseTarget(container ? 'container' : targetKind);
  process.exitCode = await runMocha(namesFiles ? args : [...args, tests]);
} catch (error) {
  if (!(error instanceof Hopeless)) throw error;
  console.error(error.message);
  process.exitCode = 1;
} finally {
  if (target === 'container') await removeContainers();
}
