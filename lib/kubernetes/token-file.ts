import { readFileSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { findHomeDir } from '@kubernetes/client-node';
import { parse } from 'yaml';
import { readRegularFile } from '../files/read-regular-file.js';

/** More than any server takes in a header. */
const MAX_TOKEN_BYTES = 64 * 2 ** 10;

interface Kubeconfig {
  readonly users?: readonly { readonly name?: unknown; readonly user?: { readonly tokenFile?: unknown } }[];
}

/**
 * The `tokenFile` of a user of a kubeconfig (client-go, tools/clientcmd/api/v1, AuthInfo), as a path from the root. The client library
 * leaves it out: it knows `token-file` only.
 *
 * @param kubeconfig - path of the file; without one those that the library looks for, of which no two may have a user of one name
 * @throws an error that quotes nothing of the file
 */
export function tokenFileOf(user: string, kubeconfig: string | undefined): string | undefined {
  for (const path of kubeconfig === undefined ? defaultFiles() : [kubeconfig]) {
    const found = parseKubeconfig(readFileSync(path, 'utf8')).users?.find(({ name }) => name === user);
    if (found === undefined) continue;
    const { tokenFile } = found.user ?? {};
    if (tokenFile === undefined || tokenFile === null || tokenFile === '') return undefined;
    if (typeof tokenFile !== 'string') throw new Error('its tokenFile is no path');
    return resolve(dirname(path), tokenFile);
  }
  return undefined;
}

/** Reads the token anew, for it may have been rotated. */
export async function readToken(path: string): Promise<string> {
  const text = await readRegularFile(path, MAX_TOKEN_BYTES).then(String, (error: unknown) => {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`cannot read its tokenFile ${path} (${code ?? message})`);
  });
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Error(
    `its tokenFile ${path} holds no token, which is one line of ASCII characters without blanks`,
  );
}

function defaultFiles(): readonly string[] {
  const { KUBECONFIG = '' } = process.env;
  if (KUBECONFIG !== '') return KUBECONFIG.split(delimiter).filter(Boolean);
  const home = findHomeDir();
  return home === null ? [] : [join(home, '.kube', 'config')];
}

function parseKubeconfig(text: string): Kubeconfig {
  // The library has read it already; another parser may be more particular.
  if (!text.includes('tokenFile')) return {};
  try {
    return (parse(text, { merge: true, logLevel: 'error' }) ?? {}) as Kubeconfig;
  } catch {
    throw new Error('it is not YAML');
  }
}
