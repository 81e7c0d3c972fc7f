import { isDeepStrictEqual } from 'node:util';
import { InvalidOptionError } from '../errors.js';
import { given, type TlsCredentials, type TlsSource } from '../tls/tls-source.js';
import type { CheckedOptions } from './options.js';
import { tokenFile, type TokenSource } from './token.js';

/**
 * Authorities, certificate and key, from wherever the options take them. As a source in any case, so that no key is among the agent's
 * options, where `util.inspect` shows it.
 */
export function credentialsOf({
  tls,
  certificateAuthority,
  clientCertificate,
  clientKey,
}: CheckedOptions): TlsSource {
  // A source of a user's own may tell a new object each time.
  let told: TlsCredentials | undefined;
  let merged: TlsCredentials = {};
  const own = {
    ...(certificateAuthority !== undefined && { ca: [certificateAuthority].flat() }),
    ...(clientCertificate !== undefined && { cert: clientCertificate, key: clientKey }),
  };
  return {
    current: () => {
      const now = tls === undefined ? {} : given(tls.current());
      if (told !== undefined && (now === told || isDeepStrictEqual(now, told))) return merged;
      told = now;
      merged = Object.freeze({ ...now, ...own });
      return merged;
    },
  };
}

/**
 * The bearer token, if there is one.
 *
 * @throws {@link InvalidOptionError} when the options tell twice, or by half, who we are
 */
export function tokenOf({
  token: own,
  tokenFile: path,
  clientCertificate,
  clientKey,
  tls,
}: CheckedOptions): TokenSource | undefined {
  if ((clientCertificate === undefined) !== (clientKey === undefined)) {
    const [missing, other] =
      clientKey === undefined ? ['clientKey', 'clientCertificate'] : ['clientCertificate', 'clientKey'];
    throw new InvalidOptionError(missing, `is missing: ${other} is given`);
  }
  if (clientCertificate !== undefined && tls?.current().cert !== undefined)
    throw new InvalidOptionError(
      'clientCertificate',
      'stands beside tls, which tells it: give one of the two',
    );
  if (own !== undefined && path !== undefined)
    throw new InvalidOptionError('tokenFile', 'stands beside token: give one of the two');
  return path === undefined ? own : tokenFile(path);
}
