/*
 * A process for one contender. In a process of its own each is compiled and collected as it would be in a user's: beside others that share
 * Node's streams with it, the same code has been seen to take half as long again.
 */
import '../support/native-addon.js'; // first: it decides what ssh2 loads
import { resizeApplicationHeap } from './application-heap.js';
import { Absent, type Course, type Entrant } from './contender.js';
import { entrants } from './contenders/index.js';
import { enter, type Contestant, type Figure } from './figure.js';
import { FIGURES } from './figures/index.js';
import type { Reply, Request } from './messages.js';

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

async function serve(request: Request): Promise<readonly number[]> {
  switch (request.kind) {
    case 'start': {
      const entrant = entrants(request.against).find(({ name }) => name === request.contender);
      if (entrant !== undefined) await start(entrant, request.course);
      return [];
    }
    case 'warmUp':
      await warmUp(figureNamed(request.figure));
      return [];
    case 'measure':
      return figureNamed(request.figure).measure(own ?? started().contender);
    case 'close':
      await closeOwn();
      await shared?.contender.close();
      shared = undefined;
      return [];
  }
}

async function replyTo(request: Request): Promise<Reply> {
  try {
    return { kind: 'done', values: await serve(request) };
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
