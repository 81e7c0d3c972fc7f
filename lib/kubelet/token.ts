import { debug } from '../diagnostics.js';
import { InvalidOptionError } from '../errors.js';
import { FilesOnDemand } from '../files/files-on-demand.js';
import { readRegularFileSync } from '../files/read-regular-file.js';
import { describeKind, describeValue, type Check } from '../validation.js';

/** Tells a bearer token as it is now. */
export type TokenSource = () => string | Promise<string>;

/** More than any server takes in a header. */
const MAX_TOKEN_BYTES = 64 * 2 ** 10;

/** @throws {@link InvalidOptionError} that shows nothing of it */
export function checkToken(value: unknown, path: string): string {
  if (typeof value !== 'string')
    throw new InvalidOptionError(path, `must be a string, got ${describeKind(value)}`);
  const token = value.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new InvalidOptionError(path, 'must be a bearer token: one line of ASCII characters without blanks');
}

/** A token, or what tells one. */
export const token: Check<TokenSource> = (value, path) => {
  if (typeof value === 'function') return value as TokenSource;
  const checked = checkToken(value, path);
  return () => checked;
};

/**
 * A token that is a file, read here, and read again when it has changed and then been still for `intervalMs`. While it is missing or
 * broken, the token that was read last stays in use.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function tokenFile(path: string, intervalMs = 1000): TokenSource {
  const file = new FilesOnDemand<string>({
    paths: [path],
    intervalMs,
    read: () => readToken(path),
    // Whoever is told must not run inside the look that tells.
    onChange: () => queueMicrotask(() => say(path, file)),
  });
  return () => file.content;
}

function say(path: string, { state }: FilesOnDemand<string>): void {
  debug.tls('token of %s: %s', path, state.failure?.message ?? 'in use as it is now');
}

function readToken(path: string): string {
  let text: string;
  try {
    text = readRegularFileSync(path, MAX_TOKEN_BYTES).toString('latin1');
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const problem = `cannot read ${describeValue(path)} (${code ?? message}): give the path of a file that this process may read`;
    throw new InvalidOptionError('tokenFile', problem, { cause });
  }
  return checkToken(text, 'tokenFile');
}
