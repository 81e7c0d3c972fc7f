/** Loaded before every run of mocha: what holds for all tests. */
import './native-addon.js';
import { applicabilitySummary } from './applicability.js';
import { describeHandles, HandleTracker } from './leaks.js';

/** How long the process may live on after the last test. */
const EXIT_DEADLINE_MS = Number(process.env.TUNNEL_TEST_EXIT_DEADLINE_MS ?? 5_000);

// Costs time, so only on request: knows where each open handle was made.
const tracker = process.env.TUNNEL_TEST_TRACE_HANDLES === '1' ? new HandleTracker() : undefined;

// Mocha passes by a rejection that nobody handles. Thrown, it fails the test that runs, or the process after
// the last test.
process.on('unhandledRejection', (reason) => {
  throw reason instanceof Error ? reason : new Error('unhandled rejection', { cause: reason });
});

function describeHandle(handle: object): string {
  const { localAddress, localPort, remoteAddress, remotePort, spawnfile, pid } = handle as Record<
    string,
    unknown
  >;
  const listening =
    'address' in handle && typeof handle.address === 'function' ? (handle.address as () => unknown)() : {};
  const details = {
    localAddress,
    localPort,
    remoteAddress,
    remotePort,
    spawnfile,
    pid,
    ...(listening ?? {}),
  };
  const known = Object.entries(details).filter(([, value]) => value !== undefined);
  return `  ${handle.constructor.name} ${known.map(([name, value]) => `${name}=${String(value)}`).join(' ')}`;
}

function describeOpenHandles(): string {
  const standard: object[] = [process.stdin, process.stdout, process.stderr];
  const { _getActiveHandles: activeHandles } = process as unknown as { _getActiveHandles: () => object[] };
  const handles = activeHandles().filter((handle) => !standard.includes(handle));
  const resources = process.getActiveResourcesInfo().join(', ');
  const made = tracker?.open() ?? [];
  const where =
    tracker === undefined
      ? '  TUNNEL_TEST_TRACE_HANDLES=1 shows where they were made'
      : describeHandles(made);
  return [`  ${resources}`, ...handles.map(describeHandle), where].join('\n');
}

/** Ends a process that a test has left something open in: unref'd, the timer itself keeps nothing alive. */
function watchExit(): void {
  setTimeout(() => {
    console.error(`tests left something open that keeps the process alive:\n${describeOpenHandles()}`);
    // After mocha's own listener, which says 0.
    process.on('exit', () => (process.exitCode = Number(process.exitCode ?? 0) || 1));
    process.exit();
  }, EXIT_DEADLINE_MS).unref();
}

export function mochaGlobalTeardown(): void {
  const summary = applicabilitySummary();
  if (summary !== undefined) console.log(`  ${summary}\n`);
  tracker?.stop();
  watchExit();
}
