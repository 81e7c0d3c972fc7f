import { execFile, type ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';

/** The file descriptor on which a command in a terminal says who and where it is. */
export const TERMINAL_FD = 3;

/** Says its process id and the path of its terminal, then becomes the command. */
const INTRODUCTION = `printf '%s %s\\n' "$$" "$(tty)" >&${TERMINAL_FD}; exec ${TERMINAL_FD}>&-; exec "$@"`;

/** A command line that runs a command under a terminal: Node has none of its own, `script` of util-linux makes one. */
export function inTerminal(command: readonly string[]): readonly string[] {
  const inside = ['sh', '-c', INTRODUCTION, 'sh', ...command].map(quote).join(' ');
  return [
    'script',
    '--quiet',
    '--return',
    '--flush',
    '--echo',
    'always',
    '--command',
    `exec ${inside}`,
    '/dev/null',
  ];
}

const quote = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;

interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A terminal that a command runs under. */
export class Terminal {
  /** The process that leads its session, once it has said so. */
  session: number | undefined;
  #path: string | undefined;
  #wanted: Size | undefined;
  #resizing: ChildProcess | undefined;

  constructor(introduction: Readable) {
    let text = '';
    introduction.on('data', (bytes: Buffer) => {
      text += bytes.toString();
      const [, session, path] = /^(\d+) (\/dev\/\S+)\n/.exec(text) ?? [];
      this.session = session === undefined ? undefined : Number(session);
      this.#path = path;
      this.#apply();
    });
    introduction.on('error', () => undefined);
  }

  /** Sets its size as soon as it is there; the command gets SIGWINCH. */
  resize(size: Size): void {
    this.#wanted = size;
    this.#apply();
  }

  kill(): void {
    this.#path = undefined;
    this.#resizing?.kill('SIGKILL');
  }

  /** One at a time: the last size counts. */
  #apply(): void {
    if (this.#path === undefined || this.#wanted === undefined || this.#resizing !== undefined) return;
    const { columns, rows } = this.#wanted;
    this.#wanted = undefined;
    // Fails when the command has just ended.
    this.#resizing = execFile('stty', ['-F', this.#path, 'cols', `${columns}`, 'rows', `${rows}`], () => {
      this.#resizing = undefined;
      this.#apply();
    });
  }
}

/** Reads what comes on the resize channel (client-go, tools/remotecommand/resize.go). */
export function parseSize(bytes: Buffer): Size | undefined {
  try {
    const { Width, Height } = JSON.parse(bytes.toString()) as { Width?: unknown; Height?: unknown };
    return isSize(Width) && isSize(Height) ? { columns: Width, rows: Height } : undefined;
  } catch {
    return undefined;
  }
}

const isSize = (value: unknown): value is number =>
  Number.isInteger(value) && Number(value) > 0 && Number(value) < 2 ** 16;
