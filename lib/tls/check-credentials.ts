import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { InvalidOptionError } from '../errors.js';
import { looksLikePath } from '../validation.js';
import { given, refuseBoth, type TlsSource } from './tls-source.js';

/**
 * Refuses certificates and keys that cannot be used.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function checkCredentials({
  tls,
  ...own
}: SecureContextOptions & { tls?: TlsSource | undefined }): void {
  if (tls === undefined) checkCertificates(own);
  else {
    refuseBoth(own, '');
    checkCertificates({ ...own, ...given(tls.current()) });
  }
}

/** The groups of options that Node can judge one by one, so that the error names the wrong one. */
const CREDENTIALS = [['ca'], ['cert'], ['key', 'passphrase'], ['pfx', 'passphrase'], ['crl']] as const;

/**
 * Node looks at certificates and keys at the first request, and never says that a `ca` has no certificate in
 * it.
 */
function checkCertificates(options: SecureContextOptions): void {
  for (const [name, ...others] of CREDENTIALS) {
    if (options[name] === undefined) continue;
    for (const value of [options[name]].flat()) refusePath(name, value);
    const group = Object.fromEntries([name, ...others].map((key) => [key, options[key]]));
    withOptionName(name, () => createSecureContext(group));
  }
  const authorities = options.ca === undefined ? [] : [options.ca].flat();
  for (const authority of authorities) {
    withOptionName('ca', () => new X509Certificate(authority));
  }
  withOptionName('options', () => createSecureContext(options));
}

function refusePath(option: string, value: unknown): void {
  if (typeof value === 'string' && looksLikePath(value))
    throw new InvalidOptionError(option, 'looks like a path: read the file first, and give its content');
}

function withOptionName(option: string, judge: () => unknown): void {
  try {
    judge();
  } catch (cause) {
    // Complaints about a type quote the value, which may be a passphrase.
    const isType = (cause as NodeJS.ErrnoException).code === 'ERR_INVALID_ARG_TYPE';
    const problem = isType ? 'is of a wrong type' : `cannot be used: ${(cause as Error).message}`;
    throw new InvalidOptionError(option, problem, isType ? undefined : { cause });
  }
}
