import { statSync } from 'node:fs';
import { fileVersions } from './follow-files.js';

export interface FilesOnDemandOptions<Content> {
  readonly paths: readonly string[];
  /** Reads what is in the files; throws if it cannot be used. */
  readonly read: () => Content;
  /** How long the files are not looked at again, in milliseconds, and how long they must have been still to be read. */
  readonly intervalMs: number;
  /** Called when they have been read again, and when that fails or does not fail any more. */
  readonly onChange: () => void;
}

/** How files fare that are read again when they change. */
export interface FilesState {
  /** When what is in use was read. */
  readonly readAt: Date;
  /** Why what is in the files now cannot be used, and since when. */
  readonly failure?: { readonly message: string; readonly since: Date };
}

/**
 * What is in files, read again when somebody asks for it and they have changed. Without a timer: nothing has to be ended.
 *
 * Files that have changed are read when they have then been still for an interval, so that one that is being written is not taken for
 * finished. While they cannot be used, what was read last is.
 */
export class FilesOnDemand<Content> {
  readonly #options: FilesOnDemandOptions<Content>;
  #content: Content;
  /** The {@link fileVersions} of what is in use. */
  #used: string;
  /** Those that were there at the last look. */
  #seen: string;
  #state: FilesState = { readAt: new Date() };
  #nextLookMs: number;

  /** @throws what `read` throws */
  constructor(options: FilesOnDemandOptions<Content>) {
    this.#options = options;
    // Before they are read: what is changed from here on is read again.
    this.#used = this.#seen = fileVersions(options.paths);
    this.#content = options.read();
    this.#nextLookMs = performance.now() + options.intervalMs;
  }

  /** What is to be used now. */
  get content(): Content {
    this.#look();
    return this.#content;
  }

  get state(): FilesState {
    this.#look();
    return this.#state;
  }

  #look(): void {
    const { paths, intervalMs } = this.#options;
    const now = performance.now();
    if (now < this.#nextLookMs) return;
    this.#nextLookMs = now + intervalMs;
    const versions = fileVersions(paths);
    const isStill = versions === this.#seen || quietForMs(paths) >= intervalMs;
    this.#seen = versions;
    if (versions === this.#used) this.#recovered();
    else if (isStill) this.#read(versions);
  }

  #read(versions: string): void {
    const { paths, read, onChange } = this.#options;
    let content: Content;
    try {
      content = read();
    } catch (error) {
      this.#failed(error);
      return;
    }
    if (fileVersions(paths) !== versions) return;
    this.#used = versions;
    this.#content = content;
    this.#state = { readAt: new Date() };
    onChange();
  }

  #failed(error: unknown): void {
    const { failure, readAt } = this.#state;
    const { message } = error as Error;
    if (failure?.message === message) return;
    this.#state = { readAt, failure: { message, since: failure?.since ?? new Date() } };
    this.#options.onChange();
  }

  /** The files are again what is in use. */
  #recovered(): void {
    const { failure, readAt } = this.#state;
    if (failure === undefined) return;
    this.#state = { readAt };
    this.#options.onChange();
  }
}

/** How long ago the youngest of the files was changed; negative if one is missing, or the clock of its file system is ahead. */
function quietForMs(paths: readonly string[]): number {
  try {
    return Date.now() - Math.max(...paths.map((path) => statSync(path).ctimeMs));
  } catch {
    return -1;
  }
}
