import { InvalidOptionError } from '../errors.js';
import { describeKind, type Check } from '../validation.js';

/** What a TLS connection is made with, as `node:tls` takes it. */
export interface TlsCredentials {
  /** Authorities that the other side's certificate is verified by, in PEM. Default: those of Node. */
  readonly ca?: string | Buffer | (string | Buffer)[] | undefined;
  /** Our certificate, in PEM, and those that lead to its authority. */
  readonly cert?: string | Buffer | undefined;
  /** Its private key, in PEM. */
  readonly key?: string | Buffer | undefined;
  /** Decrypts the private key. */
  readonly passphrase?: string | undefined;
}

/** Something that knows what TLS connections are to be made with, such as the one that `tlsFiles(…)` makes. */
export interface TlsSource {
  /** What the next connection is made with; the same object as before unless it has changed. It is asked for every connection. */
  current(): TlsCredentials;
}

/** What a {@link TlsSource} tells in place of options. */
const TOLD = ['ca', 'cert', 'key', 'passphrase', 'pfx', 'secureContext'] as const;

export const tlsSource: Check<TlsSource> = (value, path) => {
  if (typeof (value as Partial<TlsSource> | null | undefined)?.current === 'function')
    return value as TlsSource;
  throw new InvalidOptionError(
    path,
    `must be tlsFiles(…), or another object with current(), got ${describeKind(value)}`,
  );
};

/** @throws {@link InvalidOptionError} if options stand beside a {@link TlsSource} that it tells, too */
export function refuseBoth(options: object, path: string): void {
  const both = TOLD.find((name) => (options as Record<string, unknown>)[name] !== undefined);
  if (both === undefined) return;
  const option = path === '' ? both : `${path}.${both}`;
  throw new InvalidOptionError(option, 'stands beside tls, which tells it: give one of the two');
}

/**
 * Without what is `undefined`: `node:tls` fails on some options that are there but undefined.
 *
 * @throws {@link InvalidOptionError} for what a source in JavaScript may tell: nothing, or a promise, which has neither `ca` nor `cert`
 */
export function given(credentials: TlsCredentials): TlsCredentials {
  const told: unknown = credentials;
  const isPromise = typeof (told as { readonly then?: unknown } | null | undefined)?.then === 'function';
  if (typeof told !== 'object' || told === null || isPromise) {
    const kind = isPromise ? 'a promise' : describeKind(told);
    throw new InvalidOptionError('tls.current()', `must return an object with ca, cert and key, got ${kind}`);
  }
  return Object.fromEntries(Object.entries(credentials).filter(([, value]) => value !== undefined));
}
