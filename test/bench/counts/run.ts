/* `npm run bench:counts`: what is deterministic of the library's speed, compared with what was committed. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildLibrary } from '../build-library.js';
import { HERE } from '../contenders/index.js';
import { judge, updated, verdictOf, type Baseline } from './baseline.js';
import { measureCounts } from './measure.js';

const BASELINE = new URL('../counts.json', import.meta.url);

const { values } = parseArgs({ options: { update: { type: 'boolean', default: false } } });
const [node = ''] = process.versions.node.split('.');
const baseline = JSON.parse(await readFile(BASELINE, 'utf8')) as Baseline;

// With the addon ssh2 writes otherwise; without it the counts are those of every machine.
process.env.TUNNEL_TEST_NATIVE_ADDON = 'off';
const directory = await mkdtemp(join(tmpdir(), 'tunnel-dialer-counts-'));
try {
  const counts = await measureCounts(await buildLibrary(HERE, directory));
  const judged = judge(counts, values.update ? updated(baseline, counts, node) : baseline, node);
  for (const line of verdictOf(judged)) console.log(line);
  if (judged.some(({ verdict }) => verdict === 'rose')) process.exitCode = 1;
  if (values.update) {
    await writeFile(BASELINE, `${JSON.stringify(updated(baseline, counts, node), undefined, 2)}\n`);
    console.log('\ntest/bench/counts.json has these counts now');
  }
} finally {
  await rm(directory, { recursive: true, force: true });
}
