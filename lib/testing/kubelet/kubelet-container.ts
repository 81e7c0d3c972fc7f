import { InvalidOptionError } from '../../errors.js';
import type { Container } from './container.js';
import { fromMilliseconds, parseTimestamp, type Nanoseconds } from './timestamp.js';

/** A container: its log, to be written by a test, and its end. */
export interface KubeletContainer {
  /**
   * When this run ends, by itself or by a test, with the exit code of its process: 128 and the number of a signal that killed it, 128 when it
   * could not be started, 0 when nothing runs in it.
   */
  readonly ended: Promise<number>;
  /**
   * Prints a line, which followers and those who are attached get at once.
   *
   * @param line - without its newline
   */
  print(line: string, options?: PrintOptions): void;
  /** The container ends: followers get the rest of the log, then its end. A process in it is killed. */
  end(): void;
  /** It ends and begins anew, with an empty log; `previous` is the log so far. */
  restart(): void;
}

/** When and where a line is printed. */
export interface PrintOptions {
  /** A Date, or RFC 3339 with up to nine decimals. Default: now, to the nanosecond, later than every line before. */
  readonly time?: Date | string | undefined;
  /** Default: `stdout`. */
  readonly stream?: 'stdout' | 'stderr' | undefined;
}

export function handleOf(container: Container): KubeletContainer {
  return {
    get ended() {
      return container.current.ended;
    },
    print: (line, { time, stream = 'stdout' } = {}) => container.print(line, stream, nanoseconds(time)),
    end: () => container.end(),
    restart: () => container.restart(),
  };
}

function nanoseconds(time: Date | string | undefined): Nanoseconds | undefined {
  if (time === undefined) return undefined;
  const parsed = time instanceof Date ? fromMilliseconds(time.getTime()) : parseTimestamp(time);
  if (parsed !== undefined) return parsed;
  throw new InvalidOptionError('time', 'must be a Date or RFC 3339 such as 2026-01-05T00:00:00.000000001Z');
}
