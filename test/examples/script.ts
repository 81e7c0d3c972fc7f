import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { bundled } from './bundles.js';

export const environment = { PATH: process.env.PATH };

export interface SpawnOptions {
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether something is written to its stdin. Default: false, which has none. */
  readonly stdin?: boolean;
  /** Path of what is run in its place. Default: the script, bundled. */
  readonly program?: string;
}

/** A script of examples/ that runs. */
export interface Script {
  readonly child: ChildProcess;
  readonly stdin: Writable | null;
  readonly stdout: Readable;
  readonly ended: Promise<{ readonly code: number | null; readonly errors: string }>;
}

/** Runs a script of examples/ in a process of its own. */
export function spawnExample(
  script: string,
  argv: readonly string[],
  { environment: more, stdin = false, program }: SpawnOptions = {},
): Script {
  const child = spawn(process.execPath, [program ?? bundled(`examples/${script}`), ...argv], {
    env: { ...environment, ...more },
    stdio: [stdin ? 'pipe' : 'ignore', 'pipe', 'pipe'],
  });
  // `spawn` cannot tell the types of streams from a choice that is made at run time.
  const { stdout, stderr } = child as ChildProcess & { stdout: Readable; stderr: Readable };
  const errors = text(stderr);
  return {
    child,
    stdin: child.stdin,
    stdout,
    ended: once(child, 'close').then(async ([code]) => ({
      code: code as number | null,
      errors: await errors,
    })),
  };
}

/** What a stream gives until it matches. The stream goes on. */
export function firstMatch(stream: Readable, pattern: RegExp): Promise<RegExpExecArray> {
  return new Promise((resolve, reject) => {
    let all = '';
    stream.on('data', (chunk: Buffer) => {
      all += chunk.toString();
      const match = pattern.exec(all);
      if (match !== null) resolve(match);
    });
    stream.once('end', () => reject(new Error(`it ended with ${JSON.stringify(all)}`)));
  });
}
