import type { LogPosition } from './errors.js';
import { GivenTimes } from './given-times.js';

export interface TimedLinesOptions {
  /** Whether the times are given, too. */
  readonly timestamps: boolean;
  /** Whether the log begins in the middle, as with `tailLines`. */
  readonly startsAnywhere: boolean;
}

/** A line that is longer than what is held back: it is given piece by piece. */
interface LongLine {
  readonly time: string | undefined;
  /** Whether it was given before. */
  readonly isKnown: boolean;
  /** How many bytes of it were given before the cut. */
  readonly before: number;
  /** How many bytes of it have come, without a time that is not given. */
  come: number;
}

/** Up to so many bytes a line is held back until it is whole. */
export const MAX_HELD_BYTES = 64 * 2 ** 10;

const LINE_FEED = 0x0a;
const NOTHING = Buffer.alloc(0);

/**
 * The lines of a log with times, as a kubelet tells them, over several answers: what comes again is left out.
 *
 * Lines are given as a whole, however they arrive, so that a cut leaves none half given; but one that is longer than
 * {@link MAX_HELD_BYTES} is given piece by piece, and goes on after a cut where it was. What has no time, such as a complaint of the
 * kubelet's in the log's place, is given as it is.
 */
export class TimedLines {
  readonly #timestamps: boolean;
  readonly #times: GivenTimes;
  /** The beginning of a line. */
  readonly #held = Buffer.allocUnsafe(MAX_HELD_BYTES);
  #heldBytes = 0;
  #long: LongLine | undefined;
  /** A line that was cut when a part of it had been given. */
  #broken: { readonly time: string | undefined; readonly given: number } | undefined;
  /** How many lines of a time come again. */
  #known = new Map<string, number>();
  #out: Buffer[] = [];

  constructor({ timestamps, startsAnywhere }: TimedLinesOptions) {
    this.#timestamps = timestamps;
    this.#times = new GivenTimes(startsAnywhere);
  }

  /** How far whole lines were given. */
  get position(): LogPosition {
    return this.#times.position;
  }

  /** What can be given now that this has arrived. */
  push(chunk: Buffer): Buffer {
    let start = 0;
    for (let end; (end = chunk.indexOf(LINE_FEED, start)) >= 0; start = end + 1)
      this.#endLine(chunk.subarray(start, end + 1));
    if (start < chunk.length) this.#hold(chunk.subarray(start));
    return this.#take();
  }

  /** The log has ended: what is left is given, though it is no whole line. */
  end(): Buffer {
    if (this.#heldBytes > 0) this.#endLine(NOTHING);
    return this.#take();
  }

  /**
   * The log was cut, and is asked for again. What was held back is forgotten: it comes again.
   *
   * @returns the time from which on it has to be asked for; `undefined`: as at first
   */
  again(): string | undefined {
    this.#heldBytes = 0;
    if (this.#long !== undefined && !this.#long.isKnown) {
      const { time, before, come } = this.#long;
      this.#broken = { time, given: Math.max(before, come) };
    }
    this.#long = undefined;
    this.#known = this.#times.counts();
    return this.#times.since(this.#broken?.time);
  }

  #take(): Buffer {
    const out = this.#out;
    this.#out = [];
    return out.length === 1 && out[0] !== undefined ? out[0] : Buffer.concat(out);
  }

  #hold(piece: Buffer): void {
    if (this.#long === undefined && this.#heldBytes + piece.length <= MAX_HELD_BYTES) {
      this.#heldBytes += piece.copy(this.#held, this.#heldBytes);
      return;
    }
    this.#long ??= this.#beginLong(piece);
    this.#giveOf(this.#long, piece);
  }

  #endLine(piece: Buffer): void {
    if (this.#long !== undefined) {
      this.#giveOf(this.#long, piece);
      this.#endLong(this.#long);
      return;
    }
    const line =
      this.#heldBytes === 0 ? piece : Buffer.concat([this.#held.subarray(0, this.#heldBytes), piece]);
    this.#heldBytes = 0;
    const time = timeOf(line);
    if (this.#isKnown(time)) return;
    const from = this.#lengthOfPrefix(time) + this.#givenOf(time);
    if (from < line.length) this.#out.push(line.subarray(from));
    if (time !== undefined) this.#times.note(time);
  }

  /** With what is held of it; the piece that makes it too long is still to be given. */
  #beginLong(piece: Buffer): LongLine {
    const held = Buffer.from(this.#held.subarray(0, this.#heldBytes));
    this.#heldBytes = 0;
    const time = timeOf(Buffer.concat([held, piece.subarray(0, MAX_TIME_LENGTH)]));
    const isKnown = this.#isKnown(time);
    const before = isKnown ? 0 : this.#givenOf(time);
    const long: LongLine = { time, isKnown, before, come: -this.#lengthOfPrefix(time) };
    this.#giveOf(long, held);
    return long;
  }

  #giveOf(long: LongLine, piece: Buffer): void {
    const from = long.before - long.come;
    long.come += piece.length;
    if (!long.isKnown && from < piece.length) this.#out.push(piece.subarray(Math.max(0, from)));
  }

  #endLong({ time, isKnown }: LongLine): void {
    this.#long = undefined;
    if (!isKnown && time !== undefined) this.#times.note(time);
  }

  /** Whether a line was given before the cut; each is asked about once. */
  #isKnown(time: string | undefined): boolean {
    const count = time === undefined ? undefined : this.#known.get(time);
    if (time === undefined || count === undefined) return false;
    if (count === 1) this.#known.delete(time);
    else this.#known.set(time, count - 1);
    return true;
  }

  /** How many bytes of a new line were given before the cut. If it is not the one that was cut, that one does not come any more. */
  #givenOf(time: string | undefined): number {
    const broken = this.#broken;
    if (broken === undefined) return 0;
    this.#broken = undefined;
    if (broken.time === time) return broken.given;
    this.#out.push(Buffer.from('\n'));
    return 0;
  }

  #lengthOfPrefix(time: string | undefined): number {
    return this.#timestamps || time === undefined ? 0 : time.length + 1;
  }
}

/** `2026-01-31T12:00:00.123456789+01:00`. */
const MAX_TIME_LENGTH = 36;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)(?= )/;

/** The time at the beginning of a line, which a blank follows. Digits that are no time, such as those of a 99th hour, are none. */
function timeOf(line: Buffer): string | undefined {
  const time = TIME.exec(line.toString('latin1', 0, MAX_TIME_LENGTH))?.[0];
  return time === undefined || Number.isNaN(Date.parse(time)) ? undefined : time;
}
