import { statSync, type BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

export interface FollowFilesOptions<Content> {
  readonly paths: readonly string[];
  /** Reads what is in the files; gives an `Error` when they cannot be used, whose cause is that of the system if it was one. */
  readonly read: () => Promise<Content | Error>;
  /** How often the files are looked at, in milliseconds. */
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  /** The {@link fileVersions} that need not be told. Without them the first are told, when they are still. */
  readonly known?: string;
}

/** Looks in a row at which a file was another, after which that is told. */
const MAX_RESTLESS_LOOKS = 30;

/**
 * Yields what is read whenever one of the files has changed and all have then been still for one look, so that one that is being written is
 * not taken for finished; an `Error` if that never happens. That a file is missing is a change, too. What the system did not let us read is
 * tried again at every look. Throws the signal's `AbortError`.
 *
 * Files are not watched with inotify: that misses changes on network file systems and through the links of a mounted ConfigMap.
 */
export async function* followFiles<Content>(
  options: FollowFilesOptions<Content>,
): AsyncGenerator<Content | Error, void> {
  const { paths, read, intervalMs, signal, known } = options;
  let told = known;
  let seen: string | undefined;
  let failed: string | undefined;
  let restless = 0;
  while (!signal.aborted) {
    const versions = (await Promise.all(paths.map(versionOf))).join('\n');
    restless = versions === seen ? 0 : restless + 1;
    if (restless === MAX_RESTLESS_LOOKS) {
      told = undefined;
      yield new Error(`${paths.join(' and ')}: written all the time, and never still for ${intervalMs} ms`);
    }
    if (versions === seen && versions !== told) {
      const content = await read();
      const failure = systemFailureIn(content);
      // There may be descriptors or memory enough at the next look, and no file changes by that.
      told = failure === undefined ? versions : undefined;
      if (failure === undefined || failure !== failed) yield content;
      failed = failure;
    }
    seen = versions;
    await delay(intervalMs, undefined, { signal });
  }
}

function systemFailureIn(content: unknown): string | undefined {
  const { errno, message } = ((content as Error | undefined)?.cause ?? {}) as Partial<NodeJS.ErrnoException>;
  return content instanceof Error && errno !== undefined ? message : undefined;
}

/** Changes with the content of one of the files, and with the file that a path leads to. */
export function fileVersions(paths: readonly string[]): string {
  const versions = paths.map((path) => {
    try {
      return describe(statSync(path, { bigint: true }));
    } catch (error) {
      return messageOf(error);
    }
  });
  return versions.join('\n');
}

async function versionOf(path: string): Promise<string> {
  try {
    return describe(await stat(path, { bigint: true }));
  } catch (error) {
    return messageOf(error);
  }
}

const describe = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [dev, ino, size, mtimeNs, ctimeNs].join(' ');

/** The code, because the message of `statSync` is not that of `stat` in every version of Node. */
const messageOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);
