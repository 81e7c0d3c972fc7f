import { Writable } from 'node:stream';

/** Not where colours make no sense, or NO_COLOR is set. */
const hasColors = process.stdout.isTTY && process.stdout.hasColors();

const style = (code: number) => (text: string) => (hasColors ? `\x1b[${code}m${text}\x1b[0m` : text);

export const bold = style(1);
export const dim = style(2);

export function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

export function heading(text: string): void {
  say(`\n${bold(text)}\n`);
}

/** A stream whose lines appear on stdout, moved to the right. */
export function indented(indent: string, paint: (line: string) => string = String): Writable {
  const decoder = new TextDecoder();
  let rest = '';
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) say(indent + paint(line));
      done();
    },
  });
}
