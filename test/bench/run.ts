/* The benchmark: `npm run bench`. README.md beside this file says how to read what it prints. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSshd } from '../support/own-sshd.js';
import { APISERVER, measureApiserver } from './apiserver/index.js';
import { parseArguments, USAGE, type Arguments } from './arguments.js';
import { ContenderProcess } from './contender-process.js';
import { Absent, type Course } from './contender.js';
import { entrants, HERE, OURS } from './contenders/index.js';
import { startEndpoints } from './endpoint-process.js';
import { FIGURES } from './figures/index.js';
import { FLEET, measureFleet } from './fleet/index.js';
import { fleetReportOf } from './fleet/report.js';
import type { Section } from './fleet/section.js';
import { describeMachine } from './machine.js';
import { plot } from './plot.js';
import { reportOf } from './report.js';
import { resultsOf, type Result } from './results.js';
import { measureRounds } from './rounds.js';
import { summaryOf } from './summary.js';
import { UsageMeter } from './usage.js';

/** On a terminal the next line takes its place; '' leaves nothing. */
function progress(line: string): void {
  const { stderr } = process;
  if (stderr.isTTY) stderr.write(`\r\x1b[K${line}`);
  else if (line !== '') stderr.write(`${line}\n`);
}

function pick({ contenders: wanted, against }: Arguments): string[] {
  const names = entrants(against).map(({ name }) => name);
  const unknown = wanted.find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw new Error(`there is no contender "${unknown}"; there are ${names.join(', ')}`);
  return wanted.length === 0 ? names : names.filter((name) => wanted.includes(name));
}

/** Starts contenders one after the other. Those that cannot take part are left out. */
async function* start(
  names: readonly string[],
  course: Course,
  against: string | undefined,
): AsyncGenerator<ContenderProcess> {
  for (const name of names) {
    progress(`starting ${name}`);
    try {
      yield await ContenderProcess.start(name, course, against);
    } catch (error) {
      if (!(error instanceof Absent)) throw error;
      progress(`${name} does not take part: ${error.message}\n`);
    }
  }
}

async function compare(args: Arguments, directory: string): Promise<Result[]> {
  const figures = FIGURES.filter(({ name }) => args.figures.length === 0 || args.figures.includes(name));
  if (figures.length === 0) return [];
  const names = pick(args);
  // Not all contenders know ed25519.
  const sshd = await startSshd({ config: ['LogLevel INFO'], hostKeyTypes: ['ecdsa'], userKeyType: 'ecdsa' });
  const endpoints = await startEndpoints();
  const contenders: ContenderProcess[] = [];
  const results: Result[] = [];
  try {
    const { address, port, username, privateKey, hostKeys, knownHosts } = sshd;
    const { host, ports, certificateAuthority } = endpoints;
    const course = {
      sshd: { address, port, username, privateKey, hostKeys, knownHosts },
      endpoints: { host, ports, certificateAuthority },
      directory,
    };
    for await (const contender of start(names, course, args.against)) contenders.push(contender);
    const meter = new UsageMeter(() => sshd.connectionPids());
    const watched = contenders.map((contender) => meter.watch(contender));
    for (const figure of figures) {
      const rounds = await measureRounds(figure, watched, args.rounds, progress);
      const usage = meter.usageOf(figure.name);
      results.push(...resultsOf(figure, rounds, OURS).map((result) => ({ ...result, usage })));
    }
  } finally {
    // Streams of a figure that failed would be waited for, so their endpoints go first.
    await endpoints.close();
    await Promise.all(contenders.map((contender) => contender.close()));
    await sshd.close();
  }
  return results;
}

/** What the proxy adds; with another tree, that of its proxy as well. */
async function measureProxies(args: Arguments, directory: string): Promise<Result[]> {
  if (args.figures.length > 0 && !args.figures.includes(APISERVER)) return [];
  const { rounds, against: rivalRoot } = args;
  return measureApiserver({ root: HERE, rivalRoot, directory, rounds, progress });
}

/** Ours alone; with another tree, one after the other. */
async function measureFleets(args: Arguments, directory: string): Promise<Section[]> {
  if (args.figures.length > 0 && !args.figures.includes(FLEET)) return [];
  const endpoints = await startEndpoints();
  const { host, ports, certificateAuthority } = endpoints;
  const { rounds, against } = args;
  const fleet = { directory, endpoints: { host, ports, certificateAuthority }, rounds, progress };
  try {
    const sections = await measureFleet({ ...fleet, root: HERE });
    if (against === undefined) return sections;
    const others = await measureFleet({ ...fleet, root: against });
    return [...sections, ...others.map((other) => ({ ...other, title: `other tree, ${other.title}` }))];
  } finally {
    await endpoints.close();
  }
}

async function main(): Promise<void> {
  const figures = [...FIGURES.map(({ name }) => name), APISERVER, FLEET];
  const args = parseArguments(process.argv.slice(2), figures);
  if (args.help) {
    console.log(`${USAGE}\nfigures: ${figures.join(', ')}`);
    return;
  }
  const machine = describeMachine();
  const directory = await mkdtemp(join(tmpdir(), 'tunnel-dialer-bench-'));
  try {
    const results = [...(await compare(args, directory)), ...(await measureProxies(args, directory))];
    const fleet = await measureFleets(args, directory);
    progress('');
    console.log(reportOf(machine, args.rounds, results));
    for (const line of summaryOf(results)) console.log(line);
    console.log(fleetReportOf(fleet));
    const { rounds } = args;
    const all = { machine, rounds, results, fleet };
    if (args.json !== undefined) await writeFile(args.json, `${JSON.stringify(all, undefined, 2)}\n`);
    if (args.plot !== undefined) await plot(args.plot, results);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
