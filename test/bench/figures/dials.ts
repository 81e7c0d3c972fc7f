import type { Duplex } from 'node:stream';
import type { Contender } from '../contender.js';
import { Conversation } from './conversation.js';

/** Dials until the compiler has seen it all: a control plane's process is weeks old, not seconds. */
const WARM_UP_DIALS = 6000;

/** Dials the echo endpoint and has one byte sent back. Whoever dialled destroys the stream. */
export async function dialAndAsk(contender: Contender): Promise<Duplex> {
  const stream = await contender.dial('echo');
  await new Conversation(stream).ask(1);
  return stream;
}

/** Dials the echo endpoint, has one byte sent back, and destroys the stream. */
export async function dialAndEcho(contender: Contender): Promise<void> {
  const stream = await dialAndAsk(contender);
  stream.destroy();
}

/** How long a dial and its first byte took, in milliseconds. */
export async function timeDial(contender: Contender): Promise<number> {
  const start = performance.now();
  const stream = await dialAndAsk(contender);
  const ms = performance.now() - start;
  stream.destroy();
  return ms;
}

/** As many dials, `atOnce` of them under way at any time. */
export async function dialMany(contender: Contender, dials: number, atOnce: number): Promise<void> {
  let left = dials;
  const work = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await dialAndEcho(contender);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}

/** Warms up the way in which is measured: another one is other code to the compiler. */
export const warmUpDials = (contender: Contender, atOnce: number): Promise<void> =>
  dialMany(contender, WARM_UP_DIALS, atOnce);
