import { createPrivateKey, X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { debug } from '../diagnostics.js';
import { InvalidOptionError } from '../errors.js';
import { FilesOnDemand } from '../files/files-on-demand.js';
import { readRegularFileSync } from '../files/read-regular-file.js';
import type { TlsCredentials, TlsSource } from './tls-source.js';
import {
  callable,
  describeKind,
  describeValue,
  milliseconds,
  nonEmptyString,
  objectOf,
  optional,
  withDefault,
  type Check,
} from '../validation.js';

export interface TlsFilesOptions {
  /** Path of the authorities, in PEM. Default: those of Node. */
  caFile?: string | undefined;
  /** Path of our certificate, in PEM, and those that lead to its authority. */
  certFile?: string | undefined;
  /** Path of its private key, in PEM. */
  keyFile?: string | undefined;
  /** Decrypts the private key. */
  passphrase?: string | undefined;
  /** How long the files are not looked at again, in milliseconds, and how long they must have been still to be read. Default: 1000. */
  intervalMs?: number | undefined;
  /** Called when files were read again, and when that begins to fail or does not fail any more; within no look, but soon after. */
  onChange?: ((status: TlsFilesStatus) => void) | undefined;
}

/** How the files fare, as of the last look at them. */
export interface TlsFilesStatus {
  /** Which they are, such as `files /etc/tunnel/ca.crt`. */
  readonly name: string;
  /** `stale`: what is in the files cannot be used; what was read last stays in use. */
  readonly state: 'current' | 'stale';
  /** When what is in use was read, the youngest of it. */
  readonly updatedAt: Date;
  /** Why what is in the files cannot be used, and since when. */
  readonly failure?: { readonly message: string; readonly since: Date };
}

/** TLS authorities, certificate and key that are files. */
export interface TlsFiles extends TlsSource {
  /** How the files fare. Looks at them, if it is time. */
  status(): TlsFilesStatus;
}

interface Pair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Several times what all the authorities take that Mozilla trusts. */
const MAX_PEM_BYTES = 2 ** 20;

const BEGIN = '-----BEGIN ';

const OPTIONS = 'tlsFiles()';
const CA = `${OPTIONS}.caFile`;
const CERT = `${OPTIONS}.certFile`;
const KEY = `${OPTIONS}.keyFile`;

/** Never shown. */
const passphrase: Check<string | undefined> = (value, path) => {
  if (value === undefined || typeof value === 'string') return value;
  throw new InvalidOptionError(path, `must be a string, got ${describeKind(value)}`);
};

const checkOptions = objectOf({
  caFile: optional(nonEmptyString),
  certFile: optional(nonEmptyString),
  keyFile: optional(nonEmptyString),
  passphrase,
  intervalMs: withDefault(milliseconds(1), 1000),
  onChange: optional(callable),
} satisfies Record<keyof TlsFilesOptions, Check<unknown>>);

/**
 * TLS authorities, certificate and key that are files, as option `tls` of an `httpsAgent` and of `health.probe`: read here, and read again
 * when they have changed and then been still for `intervalMs`. New connections use the new ones; those that are up go on.
 *
 * The files are looked at when a connection is made or the status is asked for, at most once in `intervalMs`, and by no timer: there is
 * nothing to be closed. Looking and reading block the process, so they should not be on a file system that hangs. A certificate and a key
 * that do not belong together are not taken, whichever of them is written first. While a file is missing or broken, what was read last
 * stays in use; {@link TlsFiles.status}, `onChange` and `DEBUG=tunnel-dialer:tls` say so.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` when one cannot be read or used, or no file is named
 * @example
 * ```ts
 * const tls = tlsFiles({ caFile: '/etc/tunnel/ca.crt', certFile: '/etc/tunnel/tls.crt', keyFile: '/etc/tunnel/tls.key' });
 * const agent = httpsAgent(dialer, { tls });
 * ```
 */
export function tlsFiles(options: TlsFilesOptions): TlsFiles {
  const checked = checkOptions(options, OPTIONS);
  const { caFile, certFile, keyFile } = checked;
  if ((certFile === undefined) !== (keyFile === undefined)) {
    const [missing, other] = certFile === undefined ? [CERT, 'keyFile'] : [KEY, 'certFile'];
    throw new InvalidOptionError(missing, `is missing: ${other} is given`);
  }
  if (caFile === undefined && certFile === undefined)
    throw new InvalidOptionError(OPTIONS, 'needs caFile, or certFile and keyFile');
  return new Files(checked as TlsFilesOptions & { intervalMs: number });
}

class Files implements TlsFiles {
  readonly #name: string;
  readonly #passphrase: string | undefined;
  readonly #onChange: TlsFilesOptions['onChange'];
  readonly #authorities: FilesOnDemand<Buffer> | undefined;
  readonly #pair: FilesOnDemand<Pair> | undefined;
  #current: TlsCredentials | undefined;
  #isToBeTold = false;

  constructor(options: TlsFilesOptions & { intervalMs: number }) {
    const { passphrase, intervalMs } = options;
    const [caFile, certFile, keyFile] = [options.caFile, options.certFile, options.keyFile].map((path) =>
      path === undefined ? undefined : resolve(path),
    );
    this.#passphrase = passphrase;
    this.#onChange = options.onChange;
    this.#name = `files ${[caFile, certFile, keyFile].filter((path) => path !== undefined).join(', ')}`;
    const onChange = (): void => this.#changed();
    if (caFile !== undefined) {
      const read = (): Buffer => readCertificates(caFile, CA);
      this.#authorities = new FilesOnDemand({ paths: [caFile], read, intervalMs, onChange });
    }
    if (certFile !== undefined && keyFile !== undefined) {
      const read = (): Pair => readPair(certFile, keyFile, passphrase);
      this.#pair = new FilesOnDemand({ paths: [certFile, keyFile], read, intervalMs, onChange });
    }
  }

  current(): TlsCredentials {
    const ca = this.#authorities?.content;
    const { cert, key } = this.#pair?.content ?? {};
    if (this.#current === undefined || this.#current.ca !== ca || this.#current.cert !== cert) {
      const passphrase = key === undefined ? undefined : this.#passphrase;
      this.#current = Object.freeze({ ca, cert, key, passphrase });
    }
    return this.#current;
  }

  status(): TlsFilesStatus {
    const states = [this.#authorities?.state, this.#pair?.state].filter((state) => state !== undefined);
    const failure = states.find((state) => state.failure !== undefined)?.failure;
    return {
      name: this.#name,
      state: failure === undefined ? 'current' : 'stale',
      updatedAt: new Date(Math.max(...states.map(({ readAt }) => readAt.getTime()))),
      ...(failure !== undefined && { failure }),
    };
  }

  #changed(): void {
    if (this.#isToBeTold) return;
    this.#isToBeTold = true;
    // Whoever is told must not run inside the making of a connection.
    queueMicrotask(() => {
      this.#isToBeTold = false;
      const status = this.status();
      debug.tls('%s: %s', status.name, status.failure?.message ?? 'in use as they are now');
      this.#onChange?.(status);
    });
  }
}

function readCertificates(path: string, option: string): Buffer {
  const pem = readPem(path, option);
  const text = pem.toString('latin1');
  const wrong = (problem: string): InvalidOptionError =>
    new InvalidOptionError(option, `${describeValue(path)} ${problem}`);
  // Apart, because one pattern for all of them takes minutes with a text that begins again and again.
  const [, ...begun] = text.split(BEGIN);
  const blocks = begun.map((rest) => /^([A-Z0-9 ]+)-----[^]*?-----END \1-----/.exec(rest));
  // Node stops at what it cannot read, and says nothing.
  if (blocks.includes(null)) throw wrong('is cut off, or no PEM');
  const certificates = blocks.filter((block) => block?.[1]?.endsWith('CERTIFICATE'));
  if (certificates.length === 0) throw wrong('has no certificate in it, in PEM');
  for (const block of certificates) {
    try {
      new X509Certificate(`${BEGIN}${block?.[0] ?? ''}`);
    } catch {
      throw wrong('has a certificate in it that cannot be read');
    }
  }
  return pem;
}

function readPair(certFile: string, keyFile: string, passphrase: string | undefined): Pair {
  const cert = readCertificates(certFile, CERT);
  const key = readPem(keyFile, KEY);
  let privateKey;
  try {
    privateKey = createPrivateKey({ key, ...(passphrase !== undefined && { passphrase }) });
  } catch {
    throw new InvalidOptionError(
      KEY,
      `${describeValue(keyFile)} is no private key in PEM, or passphrase does not decrypt it`,
    );
  }
  if (!new X509Certificate(cert).checkPrivateKey(privateKey)) {
    const problem = `${describeValue(keyFile)} does not belong to the certificate in ${describeValue(certFile)}`;
    throw new InvalidOptionError(KEY, problem);
  }
  try {
    createSecureContext({ cert, key, ...(passphrase !== undefined && { passphrase }) });
  } catch (cause) {
    const problem = `${describeValue(certFile)} cannot be used: ${(cause as Error).message}`;
    throw new InvalidOptionError(CERT, problem, { cause });
  }
  return { cert, key };
}

function readPem(path: string, option: string): Buffer {
  try {
    return readRegularFileSync(path, MAX_PEM_BYTES);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const problem = `cannot read ${describeValue(path)} (${code ?? message}): give the path of a file that this process may read`;
    throw new InvalidOptionError(option, problem, { cause });
  }
}
