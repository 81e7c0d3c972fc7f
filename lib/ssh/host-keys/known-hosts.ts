import { InvalidOptionError } from '../../errors.js';
import { readRegularFileSync } from '../../files/read-regular-file.js';
import { describeKind, describeValue } from '../../validation.js';
import type { HostKeyVerifier } from './verifier.js';
import { KnownHostsFile, parseKnownHostsLine } from './known-hosts-file.js';

const OPTION = 'knownHosts(pathOrText)';

/** More than the keys of a hundred thousand nodes take. */
const MAX_FILE_BYTES = 64 * 2 ** 20;

function isText(pathOrText: string): boolean {
  return pathOrText.includes('\n') || ['key', 'revoked'].includes(parseKnownHostsLine(pathOrText).kind);
}

function read(path: string, option: string): string {
  try {
    return readRegularFileSync(path, MAX_FILE_BYTES).toString();
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const tilde = path.startsWith('~')
      ? '; a leading ~ means nothing outside of a shell: use os.homedir()'
      : '';
    throw new InvalidOptionError(
      option,
      `cannot read ${describeValue(path)} (${code ?? message}): ` +
        `give the path of a known_hosts file that this process may read${option === OPTION ? ', or the text of one' : ''}${tilde}`,
      { cause },
    );
  }
}

/**
 * A verifier that accepts the host keys listed in a known_hosts file as OpenSSH writes it: plain, hashed and
 * comma-separated names, `[host]:port`, wildcards, negation, several keys per host, `@revoked`.
 * `@cert-authority` lines and broken lines are skipped, which `DEBUG=tunnel-dialer:host-keys` shows. Any of
 * the node's names may be the one that is listed.
 *
 * @param pathOrText - path of the file, or its text: what holds a line break or is a line of known_hosts.
 *   Read once, here.
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` if the file cannot be read or has no line
 *   that can be used
 */
export function knownHosts(pathOrText: string): HostKeyVerifier {
  if (typeof (pathOrText as unknown) !== 'string' || pathOrText.trim() === '') {
    const got = typeof (pathOrText as unknown) === 'string' ? 'an empty string' : describeKind(pathOrText);
    throw new InvalidOptionError(OPTION, `must be the path or the text of a known_hosts file, got ${got}`);
  }
  return isText(pathOrText) ? usable(pathOrText, undefined, OPTION) : knownHostsIn(pathOrText, OPTION);
}

/**
 * What {@link knownHosts} makes of a file.
 *
 * @param option - what the user gave the path as, for messages
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export const knownHostsIn = (path: string, option: string): HostKeyVerifier =>
  usable(read(path, option), path, option);

function usable(text: string, path: string | undefined, option: string): HostKeyVerifier {
  const file = new KnownHostsFile(text, path);
  if (file.isUsable) return file;
  const where = path === undefined ? '' : ` in ${describeValue(path)}`;
  // What `ssh-keyscan … > known_hosts` writes in Windows PowerShell.
  if (text.includes('\0')) throw new InvalidOptionError(option, `is UTF-16${where}: save it as UTF-8`);
  throw new InvalidOptionError(
    option,
    `has no usable line${where}: a line reads "name ssh-ed25519 AAAA…"; ` +
      'DEBUG=tunnel-dialer:host-keys names the lines that were skipped',
  );
}
