/*
 * Runs the command as often as it is told to, without a new process each time. A process of its own is
 * needed, because the examples import the package by its name, which only test/tsconfig.json leads to lib/.
 */
import { Writable } from 'node:stream';
import { kubeletLogs } from '../../examples/support/kubelet-logs.js';

export interface Order {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export interface Outcome {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

function sink(): { readonly stream: Writable; readonly text: () => string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk);
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString() };
}

process.on('message', ({ argv, environment }: Order) => {
  const [output, errors] = [sink(), sink()];
  const { signal } = new AbortController();
  void kubeletLogs(argv, { output: output.stream, errors: errors.stream, environment, signal }).then(
    (code) => {
      process.send?.({ code, output: output.text(), errors: errors.text() } satisfies Outcome);
    },
  );
});
