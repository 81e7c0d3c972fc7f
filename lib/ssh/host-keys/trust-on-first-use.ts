import { statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { debug } from '../../diagnostics.js';
import { HostKeyError, InvalidOptionError, messageOf } from '../../errors.js';
import { describeKind, describeValue } from '../../validation.js';
import type { HostIdentity, HostKeyVerdict, HostKeyVerifier } from './verifier.js';
import { writableNames } from './host-names.js';
import { KnownHostsFile } from './known-hosts-file.js';
import { withLockFile, type LockFile } from './lock-file.js';
import { fingerprintOf, formatPublicKey, isSupportedKey, keyTypeOf } from './public-key.js';
import { readRegularFile, replaceFile, type FileVersion } from './replace-file.js';

const LINE_FEED = 10;

const OPTION = 'trustOnFirstUse(path)';

/** How often the file may be changed meanwhile, by programs that do not know our lock, before we give up. */
const MAX_TRIES = 5;

/** A key that is to be remembered. */
interface Confirmation {
  readonly host: HostIdentity;
  readonly key: Buffer;
  readonly resolve: () => void;
  readonly reject: (error: HostKeyError) => void;
}

const describe = (host: HostIdentity, key: Buffer): string =>
  `${keyTypeOf(key)} ${fingerprintOf(key)} of ${describeValue(host.names[0])} port ${host.port}`;

function mismatchError(
  host: HostIdentity,
  key: Buffer,
  reason: 'mismatch' | 'revoked',
  hint?: string,
): HostKeyError {
  const what =
    reason === 'mismatch' ? 'another key was recorded for it meanwhile' : 'it was revoked meanwhile';
  return new HostKeyError(
    reason,
    fingerprintOf(key),
    `the host key ${describe(host, key)} is not trusted: ${what}${hint === undefined ? '' : `; ${hint}`}`,
  );
}

class TrustOnFirstUse implements HostKeyVerifier {
  readonly #path: string;
  #version: FileVersion | undefined;
  #file: KnownHostsFile;
  #queue: Confirmation[] = [];
  #isWriting = false;

  /** @throws an error of the file system */
  constructor(path: string) {
    this.#path = path;
    this.#version = readRegularFile(path);
    this.#file = this.#parse();
  }

  keyTypes(host: HostIdentity): readonly string[] | undefined {
    return this.#current().keyTypes(host);
  }

  verify(host: HostIdentity, key: Buffer): HostKeyVerdict {
    const verdict = this.#current().verify(host, key);
    if (!isUnknown(verdict)) return verdict;
    const obstacle = obstacleTo(host, key);
    if (obstacle === undefined) return { verdict: 'accepted' };
    // What cannot be remembered would be trusted again and again, whatever the key.
    return { verdict: 'rejected', reason: 'unknown', hint: `it cannot be trusted on first use: ${obstacle}` };
  }

  confirmed(host: HostIdentity, key: Buffer): Promise<void> {
    if (this.#current().verify(host, key).verdict === 'accepted') return Promise.resolve();
    const obstacle = obstacleTo(host, key);
    if (obstacle !== undefined) return Promise.reject(this.#writeError(host, key, new Error(obstacle)));
    return new Promise((resolve, reject) => {
      this.#queue.push({ host, key: Buffer.from(key), resolve, reject });
      if (!this.#isWriting) void this.#writeQueue();
    });
  }

  #parse(): KnownHostsFile {
    return new KnownHostsFile(this.#version?.content.toString('utf8') ?? '', this.#path);
  }

  /** @throws an error of the file system */
  #reload(): KnownHostsFile {
    const version = readRegularFile(this.#path, this.#version);
    if (version !== this.#version) {
      this.#version = version;
      this.#file = this.#parse();
    }
    return this.#file;
  }

  /** The file as it is now: what a person or another process has changed in it counts at once. */
  #current(): KnownHostsFile {
    try {
      return this.#reload();
    } catch (error) {
      // What was read last stays in force. Nothing can be added to it, so that no unknown host gets in.
      debug.hostKeys('%s cannot be read: %s', this.#path, messageOf(error));
      return this.#file;
    }
  }

  async #writeQueue(): Promise<void> {
    this.#isWriting = true;
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      try {
        await this.#remember(batch);
        for (const confirmation of batch) confirmation.resolve();
      } catch (error) {
        for (const { host, key, reject } of batch) reject(this.#writeError(host, key, error));
      }
    }
    this.#isWriting = false;
  }

  async #remember(batch: readonly Confirmation[]): Promise<void> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const refusals: (() => void)[] = [];
      const done = await withLockFile(`${this.#path}.lock`, (lock) => this.#append(batch, lock, refusals));
      // Not before the lock is given back: who is refused may end the process.
      for (const refuse of refusals) refuse();
      if (done) return;
    }
    throw new Error('the file kept changing');
  }

  /**
   * Collects refusals for the confirmations that the file speaks against and adds lines for the others. Returns `false` to
   * be called again.
   */
  async #append(batch: readonly Confirmation[], lock: LockFile, refusals: (() => void)[]): Promise<boolean> {
    const file = this.#reload();
    const before = this.#version;
    let lines = '';
    for (const { host, key, reject } of batch) {
      let verdict = file.verify(host, key);
      // Two nodes of one batch may share a name.
      if (isUnknown(verdict)) verdict = new KnownHostsFile(lines, this.#path).verify(host, key);
      if (isUnknown(verdict)) {
        lines += `${writableNames(host).join(',')} ${formatPublicKey(key)}\n`;
        debug.hostKeys('%s: trusting %s on first use', this.#path, describe(host, key));
      } else if (verdict.verdict === 'rejected' && verdict.reason !== 'unknown') {
        const error = mismatchError(host, key, verdict.reason, verdict.hint);
        refusals.push(() => reject(error));
      }
    }
    if (lines === '') return true;
    const content = before?.content ?? Buffer.alloc(0);
    const separator = content.length > 0 && content.at(-1) !== LINE_FEED ? '\n' : '';
    const unchanged = async (): Promise<boolean> =>
      (await lock.isOurs()) && readRegularFile(this.#path, before) === before;
    const after = Buffer.concat([content, Buffer.from(separator + lines)]);
    const done = await replaceFile(this.#path, after, before, unchanged);
    if (done) this.#current();
    return done;
  }

  #writeError(host: HostIdentity, key: Buffer, cause: unknown): HostKeyError {
    return new HostKeyError(
      'unknown',
      fingerprintOf(key),
      `the host key ${describe(host, key)} cannot be remembered in ${this.#path} (${messageOf(cause)}): ` +
        'let this process write the file and its directory, or list the keys yourself and use knownHosts()',
      { cause },
    );
  }
}

/** Why a key cannot be written to a known_hosts line; `undefined` if it can. */
function obstacleTo(host: HostIdentity, key: Buffer): string | undefined {
  if (!isSupportedKey(key)) return 'it is not a key of a supported type';
  return writableNames(host).length > 0 ? undefined : 'no name of the node can stand in a known_hosts file';
}

function isUnknown(verdict: HostKeyVerdict): boolean {
  return verdict.verdict === 'rejected' && verdict.reason === 'unknown';
}

function problemOf(path: string, cause: unknown): string {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'ELOOP') return 'is a symbolic link: give the path of the file itself';
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    const tilde = path.startsWith('~')
      ? '; a leading ~ means nothing outside of a shell: use os.homedir()'
      : '';
    return `is in a directory that does not exist: create it${tilde}`;
  }
  return `cannot be read (${messageOf(cause)}): give a file that this process may read and write`;
}

/**
 * A verifier that trusts the key a host shows first, remembers it in a known_hosts file, and accepts no other
 * key for that host from then on. Who sits between here and a node at the first connection can pose as the
 * node for good.
 *
 * A key is remembered when the handshake has proved that the node holds it, and the connection is used only
 * after that. The file is made with mode 0600 if it is missing, replaced atomically, and guarded by
 * `path.lock` against other processes that do the same. Changes made to it by hand count at once; lines of
 * all forms that {@link knownHosts} knows are honoured and kept.
 *
 * @param path - the file; its directory must exist, and the process must be able to create files there. No
 *   symbolic link.
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` if there is no such directory or the file
 *   cannot be read
 */
export function trustOnFirstUse(path: string): HostKeyVerifier {
  if (typeof (path as unknown) !== 'string' || path === '' || path.includes('\n')) {
    const got = typeof (path as unknown) === 'string' ? describeValue(path) : describeKind(path);
    throw new InvalidOptionError(OPTION, `must be the path of a known_hosts file, got ${got}`);
  }
  try {
    const absolute = resolve(path);
    statSync(dirname(absolute));
    return new TrustOnFirstUse(absolute);
  } catch (cause) {
    throw new InvalidOptionError(OPTION, `${describeValue(path)} ${problemOf(path, cause)}`, { cause });
  }
}
