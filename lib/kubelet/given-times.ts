import type { LogPosition } from './errors.js';

interface Entry {
  readonly time: string;
  count: number;
}

/** As many of the last times are remembered at least; twice as many at most. */
const MIN_KEPT = 1024;

/**
 * The times of the last lines that were given of a log, for asking the kubelet again from there.
 *
 * It tells all lines again that are not older than a time, in the same order as before; so of each time the first ones are known, as many
 * as were given, and the rest is new. Several times are remembered, because the times of a log do not only rise: standard output and
 * standard error are written by two hands.
 */
export class GivenTimes {
  readonly #entries: Entry[] = [];
  /** The youngest time of which lines were given that are not remembered any more. */
  #forgotten: bigint | undefined;
  #isFirstForgotten: boolean;

  /** @param startsAnywhere - whether older lines of the first line's time may not have been given, as with `tailLines` */
  constructor(startsAnywhere: boolean) {
    this.#isFirstForgotten = startsAnywhere;
  }

  /** A whole line of this time was given. */
  note(time: string): void {
    const last = this.#entries.at(-1);
    if (last?.time === time) {
      last.count += 1;
      return;
    }
    if (this.#isFirstForgotten) {
      this.#isFirstForgotten = false;
      this.#forget(time);
    }
    this.#entries.push({ time, count: 1 });
    if (this.#entries.length < 2 * MIN_KEPT) return;
    for (const entry of this.#entries.splice(0, MIN_KEPT)) this.#forget(entry.time);
  }

  get position(): LogPosition {
    const lastTime = this.#entries.at(-1)?.time;
    return { lastTime, linesAtLastTime: lastTime === undefined ? 0 : (this.counts().get(lastTime) ?? 0) };
  }

  /**
   * The time from which on to ask again; `undefined`: as at first, for all that was given is remembered.
   *
   * @param next - time of a line of which a part was given
   */
  since(next: string | undefined): string | undefined {
    const forgotten = this.#forgotten;
    // A line that is late may be older than all that were given.
    if (forgotten === undefined) return undefined;
    const times = [...this.#entries.map(({ time }) => time), ...(next === undefined ? [] : [next])];
    let since: { readonly time: string; readonly at: bigint } | undefined;
    for (const time of times) {
      const at = nanosecondsOf(time);
      if (at > forgotten && (since === undefined || at < since.at)) since = { time, at };
    }
    // All have one time, or a clock was set back.
    return since?.time ?? times.at(-1);
  }

  /** How many lines of each time were given. */
  counts(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { time, count } of this.#entries) counts.set(time, (counts.get(time) ?? 0) + count);
    return counts;
  }

  #forget(time: string): void {
    const at = nanosecondsOf(time);
    if (this.#forgotten === undefined || at > this.#forgotten) this.#forgotten = at;
  }
}

/** Since 1970; a `Date` knows milliseconds only. */
function nanosecondsOf(time: string): bigint {
  const [, seconds = '', fraction = '', zone = ''] = /^([^.Z+]{19})(?:\.(\d+))?(.*)$/.exec(time) ?? [];
  return BigInt(Date.parse(`${seconds}${zone}`)) * 1_000_000n + BigInt(fraction.slice(0, 9).padEnd(9, '0'));
}
