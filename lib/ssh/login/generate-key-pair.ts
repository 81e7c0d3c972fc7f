import { dirname, resolve } from 'node:path';
import { InvalidOptionError } from '../../errors.js';
import {
  boolean,
  describeValue,
  nonEmptyString,
  objectOf,
  withDefault,
  type Check,
} from '../../validation.js';
import { formatPublicKey } from '../host-keys/public-key.js';
import { createFile, replaceFile } from '../host-keys/replace-file.js';
import { newEd25519Key } from './new-key.js';
import { ed25519PrivateKey, ed25519PublicKey } from './openssh-form.js';

/** A key to log in with. */
export interface KeyPair {
  /** One line, such as `ssh-ed25519 AAAA…`, as in `authorized_keys`. */
  readonly publicKey: string;
  /** PEM text without a passphrase. */
  readonly privateKey: string;
}

export interface GenerateKeyPairOptions {
  /** Ends the line of the public key, as a note to people. Default: none. */
  comment?: string | undefined;
  /** Whether a file at the path may be replaced. Default: no. */
  overwrite?: boolean | undefined;
}

const PATH = 'generateKeyPair() path';

const comment: Check<string> = (value, path) => {
  if (typeof value === 'string' && !/\p{Cc}/u.test(value)) return value;
  throw new InvalidOptionError(path, `must be a string of one line, got ${describeValue(value)}`);
};

const checkOptions = objectOf({
  comment: withDefault(comment, ''),
  overwrite: withDefault(boolean, false),
} satisfies Record<keyof GenerateKeyPairOptions, Check<unknown>>);

/**
 * Makes an Ed25519 key pair in OpenSSH form.
 *
 * @param path - where the private key is written to, whole or not at all, with mode 0600
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` when there is a file at the path, unless it may be replaced, and when it
 *   cannot be written
 */
export async function generateKeyPair(path?: string, options: GenerateKeyPairOptions = {}): Promise<KeyPair> {
  if (path !== undefined) nonEmptyString(path, PATH);
  const { comment, overwrite } = checkOptions(options, 'generateKeyPair() options');
  const key = newEd25519Key();
  const privateKey = ed25519PrivateKey(key, comment);
  if (path !== undefined) await write(path, Buffer.from(privateKey), overwrite);
  return { privateKey, publicKey: `${formatPublicKey(ed25519PublicKey(key))} ${comment}`.trimEnd() };
}

async function write(path: string, content: Buffer, overwrite: boolean): Promise<void> {
  try {
    if (overwrite) await replaceFile(path, content, undefined, () => Promise.resolve(true));
    else await createFile(path, content);
  } catch (cause) {
    const { code = 'unwritable' } = cause as NodeJS.ErrnoException;
    throw new InvalidOptionError(PATH, `${describeValue(path)} ${problemOf(code, path)}`, { cause });
  }
}

function problemOf(code: string, path: string): string {
  const folder = describeValue(dirname(resolve(path)));
  switch (code) {
    case 'EEXIST':
      return 'exists: use what is there, or pass { overwrite: true }';
    case 'ENOENT':
      return `cannot be written (ENOENT): there is no folder ${folder}; make it first`;
    case 'EACCES':
      return `cannot be written (EACCES): this process may not write in ${folder}`;
    default:
      return `cannot be written (${code})`;
  }
}
