import { statSync, type BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

export interface FollowFilesOptions<Content> {
  readonly paths: readonly string[];
  /** Reads what is in the files. */
  readonly read: () => Promise<Content>;
  /** How often the files are looked at, in milliseconds. */
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  /** The {@link fileVersions} that need not be told. Without them the first are told, when they are still. */
  readonly known?: string;
}

/**
 * Yields what is read whenever one of the files has changed and all have then been still for one look, so that one that is being written is
 * not taken for finished. That a file is missing is a change, too. Throws the signal's `AbortError`.
 *
 * Files are not watched with inotify: that misses changes on network file systems and through the links of a mounted ConfigMap.
 */
export async function* followFiles<Content>(
  options: FollowFilesOptions<Content>,
): AsyncGenerator<Content, void> {
  const { paths, read, intervalMs, signal, known } = options;
  let told = known;
  let seen: string | undefined;
  while (!signal.aborted) {
    const versions = (await Promise.all(paths.map(versionOf))).join('\n');
    if (versions === seen && versions !== told) {
      told = versions;
      yield await read();
    }
    seen = versions;
    await delay(intervalMs, undefined, { signal });
  }
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
