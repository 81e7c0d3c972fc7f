import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateKeyPair, type KeyPair } from './ssh-keys.js';
import type { SshdOptions } from './sshd.js';

/** Makes an empty directory under the system's directory for temporary files. */
export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), 'tunnel-dialer-test-'));
}

/**
 * The files of one sshd under test: its host keys, the user's authorized key, and the test's lines of
 * sshd_config.
 */
export class SshdFiles {
  readonly directory: string;
  readonly userKey: KeyPair;
  /** Paths of the private host keys. */
  readonly hostKeyPaths: readonly string[];
  readonly #hostKeyTypes: NonNullable<SshdOptions['hostKeyTypes']>;
  #hostKeys: readonly string[] = [];

  constructor(directory: string, options: SshdOptions) {
    this.directory = directory;
    this.userKey = generateKeyPair(options.userKeyType);
    this.#hostKeyTypes = options.hostKeyTypes ?? ['ed25519'];
    this.hostKeyPaths = this.#hostKeyTypes.map((type) => this.path(`ssh_host_${type}_key`));
    this.makeHostKeys();
    const line = `${options.keyOptions ?? ''} ${this.userKey.publicKey}`.trim();
    this.write('authorized_keys', [line, ...(options.authorizedKeys ?? [])]);
    this.writeExtraConfig(options.config ?? []);
  }

  /** Public host keys, `type base64`. */
  get hostKeys(): readonly string[] {
    return this.#hostKeys;
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  write(name: string, lines: readonly string[]): void {
    writeFileSync(this.path(name), lines.map((line) => `${line}\n`).join(''), { mode: 0o600 });
  }

  /** Writes the test's own lines of sshd_config to `extra.conf`. */
  writeExtraConfig(lines: readonly string[]): void {
    this.write('extra.conf', lines);
  }

  /** Writes new host keys in place of those there are. */
  makeHostKeys(): void {
    this.#hostKeys = this.#hostKeyTypes.map((type, index) => {
      const pair = generateKeyPair(type);
      writeFileSync(this.hostKeyPaths[index]!, pair.privateKey, { mode: 0o600 });
      return pair.publicKey;
    });
  }
}
