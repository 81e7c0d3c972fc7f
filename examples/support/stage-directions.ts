import { Writable } from 'node:stream';

/** Not where colours make no sense, or NO_COLOR is set. */
const hasColors = process.stdout.isTTY && process.stdout.hasColors();

const style = (code: number) => (text: string) => (hasColors ? `\x1b[${code}m${text}\x1b[0m` : text);

const bold = style(1);
export const dim = style(2);

/** What a demo says between what it shows. */
export class StageDirections {
  readonly #output: Writable;

  constructor(output: Writable) {
    this.#output = output;
  }

  say(line: string): void {
    this.#output.write(`${line}\n`);
  }

  heading(text: string): void {
    this.say(`\n${bold(text)}\n`);
  }

  /** A stream whose lines appear among what is said, moved to the right. */
  indented(indent: string, paint: (line: string) => string = String): Writable {
    const decoder = new TextDecoder();
    let rest = '';
    return new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) this.say(indent + paint(line));
        done();
      },
    });
  }
}
