/*
 * A process for one contender. In a process of its own each is compiled and collected as it would be in a user's: beside others that share
 * Node's streams with it, the same code has been seen to take half as long again.
 */
import '../support/native-addon.js'; // first: it decides what ssh2 loads
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { resizeApplicationHeap } from './application-heap.js';
import { Absent, type Course, type Entrant } from './contender.js';
import { entrants } from './contenders/index.js';
import { enter, outcomeOf, type Contestant, type Figure } from './figure.js';
import { FIGURES } from './figures/index.js';
import type { Measurement, Reply, Request } from './messages.js';

resizeApplicationHeap();

/** What figures share. */
let shared: { readonly entrant: Entrant; readonly contender: Contestant } | undefined;

/** The contender of the figure that was warmed up last, if it has one of its own. */
let own: Contestant | undefined;

function started(): NonNullable<typeof shared> {
  if (shared === undefined) throw new Error('the contender has not been started');
  return shared;
}

async function start(entrant: Entrant, course: Course): Promise<void> {
  shared = { entrant, contender: await enter(entrant, course) };
}

async function warmUp(figure: Figure): Promise<void> {
  const { entrant, contender } = started();
  await closeOwn();
  own = await figure.start?.(entrant, contender.course);
  await figure.warmUp(own ?? contender);
}

async function closeOwn(): Promise<void> {
  const closing = own;
  own = undefined;
  await closing?.close();
}

function figureNamed(name: string): Figure {
  const figure = FIGURES.find((candidate) => candidate.name === name);
  if (figure === undefined) throw new Error(`there is no figure ${name}`);
  return figure;
}

/** How often the event loop is looked at: seldom enough that it does not show in the figures. */
const LOOK_EVERY_MS = 5;

async function measure(figure: Figure, contender: Contestant): Promise<Measurement> {
  const delays = monitorEventLoopDelay({ resolution: LOOK_EVERY_MS });
  delays.enable();
  try {
    const outcome = outcomeOf(await figure.measure(contender));
    // A look that is not late comes after its time all the same.
    return { ...outcome, loopDelayP99Ms: Math.max(0, delays.percentile(99) / 1e6 - LOOK_EVERY_MS) };
  } finally {
    delays.disable();
  }
}

async function serve(request: Request): Promise<Reply> {
  switch (request.kind) {
    case 'start': {
      const entrant = entrants(request.against).find(({ name }) => name === request.contender);
      if (entrant !== undefined) await start(entrant, request.course);
      return { kind: 'done' };
    }
    case 'warmUp':
      await warmUp(figureNamed(request.figure));
      return { kind: 'done' };
    case 'measure':
      return {
        kind: 'measured',
        ...(await measure(figureNamed(request.figure), own ?? started().contender)),
      };
    case 'close':
      await closeOwn();
      await shared?.contender.close();
      shared = undefined;
      return { kind: 'done' };
  }
}

async function replyTo(request: Request): Promise<Reply> {
  try {
    return await serve(request);
  } catch (error) {
    if (error instanceof Absent) return { kind: 'absent', reason: error.message };
    return {
      kind: 'failed',
      problem: error instanceof Error ? (error.stack ?? error.message) : String(error),
    };
  }
}

process.on('message', (request: Request) => void replyTo(request).then((reply) => process.send?.(reply)));
process.on('disconnect', () => void replyTo({ kind: 'close' }).finally(() => process.exit()));
