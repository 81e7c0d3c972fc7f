import type { Readable, Writable } from 'node:stream';
import { ReadStream, WriteStream } from 'node:tty';
import type { TerminalSize } from 'tunnel-dialer/kubelet';

/** A terminal in raw mode: every key is handed on as it is, Ctrl-C too. */
export interface RawTerminal extends Disposable {
  /** Tells its size, now and whenever it changes. */
  onSize(tell: (size: TerminalSize) => void): void;
}

/** Whether this is a terminal that can be typed at. */
export const isTerminal = (input: Readable | undefined): input is ReadStream => input instanceof ReadStream;

/** Puts a terminal in raw mode, until it is disposed of. When the process ends before that, Node restores it. */
export function makeRaw(input: ReadStream, output: Writable): RawTerminal {
  const sized = output instanceof WriteStream ? output : undefined;
  let onResize: (() => void) | undefined;
  input.setRawMode(true);
  return {
    onSize(tell) {
      if (sized === undefined) return;
      onResize = () => {
        const { columns, rows } = sized;
        // A terminal that does not know its size says 0.
        if (columns > 0 && rows > 0) tell({ columns, rows });
      };
      // Node looks at the size again on SIGWINCH.
      sized.on('resize', onResize);
      onResize();
    },
    [Symbol.dispose]() {
      if (onResize !== undefined) sized?.off('resize', onResize);
      input.setRawMode(false);
    },
  };
}
