/*
 * A process for one contender. In a process of its own each is compiled and collected as it would be in a user's: beside others that share
 * Node's streams with it, the same code has been seen to take half as long again.
 */
import '../support/native-addon.js'; // first: it decides what ssh2 loads
import { resizeApplicationHeap } from './application-heap.js';
import { Absent, type Contender } from './contender.js';
import { entrants } from './contenders/index.js';
import type { Figure } from './figure.js';
import { FIGURES } from './figures/index.js';
import type { Reply, Request } from './messages.js';

resizeApplicationHeap();

let contender: Contender | undefined;

function started(): Contender {
  if (contender === undefined) throw new Error('the contender has not been started');
  return contender;
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
      contender = await entrant?.start(request.course);
      return [];
    }
    case 'warmUp':
      await figureNamed(request.figure).warmUp(started());
      return [];
    case 'measure':
      return figureNamed(request.figure).measure(started());
    case 'close':
      await contender?.close();
      contender = undefined;
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
