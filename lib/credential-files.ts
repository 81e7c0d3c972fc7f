import { resolve } from 'node:path';
import { InvalidOptionError } from './errors.js';
import { fileVersions, followFiles } from './files/follow-files.js';
import type { CredentialsUpdate, SshOptions } from './options.js';
import { readRegularFile, readRegularFileSync } from './files/read-regular-file.js';
import { knownHostsIn } from './ssh/host-keys/known-hosts.js';
import {
  describeValue,
  milliseconds,
  nonEmptyString,
  objectOf,
  optional,
  withDefault,
  type Check,
} from './validation.js';

export interface CredentialFilesOptions extends Pick<SshOptions, 'username' | 'passphrase' | 'agent'> {
  /** Path of a private key in PEM or OpenSSH form. */
  privateKeyFile?: string | undefined;
  /** Path of a known_hosts file, as `knownHosts` reads it. */
  knownHostsFile?: string | undefined;
  /** How often the files are looked at, in milliseconds. Default: 1000. */
  intervalMs?: number | undefined;
}

const OPTIONS = 'credentialFiles()';

/** More than any private key takes. */
const MAX_KEY_BYTES = 2 ** 20;

/** Judged with what is read from the files. */
const unjudged: Check<unknown> = (value) => value;

const checkOptions = objectOf({
  username: unjudged,
  passphrase: unjudged,
  agent: unjudged,
  privateKeyFile: optional(nonEmptyString),
  knownHostsFile: optional(nonEmptyString),
  intervalMs: withDefault(milliseconds(1), 1000),
} satisfies Record<keyof CredentialFilesOptions, Check<unknown>>);

/**
 * Options `ssh` of a dialer whose private key and known_hosts are files: read here, and read again when one of them has changed and then
 * both have been still for one look. While one is missing or broken, what was read last stays in use.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` when one cannot be read, or no file is named
 * @example
 * ```ts
 * const ssh = credentialFiles({ username: 'tunnel', privateKeyFile: '/etc/tunnel/id_ed25519', knownHostsFile: '/etc/tunnel/known_hosts' });
 * const dialer = new TunnelDialer({ nodes, ssh });
 * ```
 */
export function credentialFiles(options: CredentialFilesOptions): SshOptions {
  const { intervalMs, ...checked } = checkOptions(options, OPTIONS);
  const { username, passphrase, agent } = checked as CredentialFilesOptions;
  const keyPath = checked.privateKeyFile === undefined ? undefined : resolve(checked.privateKeyFile);
  const hostsPath = checked.knownHostsFile === undefined ? undefined : resolve(checked.knownHostsFile);
  const paths = [keyPath, hostsPath].filter((path) => path !== undefined);
  if (paths.length === 0) throw new InvalidOptionError(OPTIONS, 'needs privateKeyFile or knownHostsFile');

  const credentials = (privateKey: Buffer | undefined): CredentialsUpdate => ({
    // Given together, because they replace each other.
    ...(privateKey !== undefined && { privateKey, passphrase, agent }),
    hostKeys: hostsPath === undefined ? undefined : knownHostsIn(hostsPath, `${OPTIONS}.knownHostsFile`),
  });

  const read = async (): Promise<CredentialsUpdate | Error> => {
    try {
      return credentials(keyPath === undefined ? undefined : await readRegularFile(keyPath, MAX_KEY_BYTES));
    } catch (error) {
      return error instanceof InvalidOptionError ? error : unreadable(keyPath, error);
    }
  };

  // Before they are read: what is changed from here on is told.
  const known = fileVersions(paths);
  const name = `${paths.length === 1 ? 'file' : 'files'} ${paths.join(' and ')}`;
  return {
    username,
    passphrase,
    agent,
    ...credentials(keyPath === undefined ? undefined : readKey(keyPath)),
    updates: { name, follow: (signal) => followFiles({ paths, read, intervalMs, signal, known }) },
  };
}

function readKey(path: string): Buffer {
  try {
    return readRegularFileSync(path, MAX_KEY_BYTES);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function unreadable(path: string | undefined, cause: unknown): InvalidOptionError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const problem = `cannot read ${describeValue(path)} (${code ?? message}): give the path of a private key that this process may read`;
  return new InvalidOptionError(`${OPTIONS}.privateKeyFile`, problem, { cause });
}
