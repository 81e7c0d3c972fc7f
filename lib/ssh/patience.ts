import { DialTimeoutError } from '../errors.js';

/** When to give up, before its time, an attempt to connect that others wait for the end of. */
export interface Patience {
  /** How long the node may say nothing, in milliseconds, when `isOver`. */
  readonly silenceMs: number;
  /** Asked when that time has passed, and now and then after it. */
  readonly isOver: () => boolean;
}

/** TCP takes a turn of the event loop to be connected and another to be read from; a name takes one or two before that. */
const PATIENCE_PARTS = 4;

/**
 * Calls `giveUp` when the time of the patience has passed, and again as long as nothing becomes of that. Counts parts of the time: when our
 * own process has slept, that is one of them, and in the others it reads what has come meanwhile.
 */
export function whenOver({ silenceMs, isOver }: Patience, giveUp: () => void): NodeJS.Timeout {
  let parts = 0;
  return setInterval(() => {
    parts += 1;
    if (parts >= PATIENCE_PARTS && isOver()) giveUp();
  }, silenceMs / PATIENCE_PARTS);
}

/** Why an attempt was given up before its time. */
export function silenceError(where: string, node: string, { silenceMs }: Patience): DialTimeoutError {
  const problem = `${where} said nothing within ${silenceMs} ms, and others wait to be connected`;
  return new DialTimeoutError('connect', problem, { node });
}
