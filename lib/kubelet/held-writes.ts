import type { Duplex } from 'node:stream';

type WriteCallback = (error?: Error | null) => void;

/** What `node:stream` calls to have something written, which its types keep to subclasses. */
interface Writer {
  _write: (chunk: unknown, encoding: BufferEncoding, callback: WriteCallback) => void;
  _writev?: ((chunks: never[], callback: WriteCallback) => void) | null | undefined;
}

/**
 * Keeps a stream from writing anything until it is released; what is written waits. A cork would not do: `node:http` takes all corks
 * off when a request ends.
 *
 * @returns releases the stream
 */
export function holdWrites(stream: Duplex): () => void {
  const writer = stream as unknown as Writer;
  const { _write: write, _writev: writev } = writer;
  let parked: (() => void) | undefined;
  // The stream makes one call at a time, and waits for its callback.
  writer._write = (...args) => (parked = () => write.apply(stream, args));
  if (writev) writer._writev = (...args) => (parked = () => writev.apply(stream, args));
  return () => {
    writer._write = write;
    if (writev) writer._writev = writev;
    parked?.();
  };
}
