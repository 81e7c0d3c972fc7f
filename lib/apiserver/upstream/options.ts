import { InvalidOptionError } from '../../errors.js';
import { token, tokenFile, type TokenSource } from '../../kubelet/token.js';
import { checkCredentials } from '../../tls/check-credentials.js';
import { authorities, pem, type Pem } from '../../tls/pem.js';
import { given, tlsSource, type TlsCredentials, type TlsSource } from '../../tls/tls-source.js';
import {
  milliseconds,
  nonEmptyString,
  objectOf,
  optional,
  withDefault,
  type Check,
} from '../../validation.js';

/** Options of an {@link UpstreamClient}. */
export interface UpstreamClientOptions {
  /**
   * URL of the kube-apiserver, such as `https://10.0.0.1:6443`; a path in it goes before that of every request. It must be `https:`,
   * because callers' tokens are sent to it.
   */
  server: string;
  /** Authorities that have issued its certificate, in PEM. Default: those of `tls`, else those of Node. */
  certificateAuthority?: Pem | readonly Pem[] | undefined;
  /** The name that its certificate must be for in place of the host in `server`. */
  serverName?: string | undefined;
  /** The proxy's own client certificate, in PEM. */
  clientCertificate?: Pem | undefined;
  /** Its private key, in PEM. */
  clientKey?: Pem | undefined;
  /** Authorities, certificate and key that change: `tlsFiles(…)`, or a source of your own. */
  tls?: TlsSource | undefined;
  /** The proxy's own bearer token, or a function that tells it for each request. */
  token?: string | TokenSource | undefined;
  /** Path of a file with the proxy's own bearer token. It is read again when it changes. */
  tokenFile?: string | undefined;
  /** How long a connection may take until TLS is done, in milliseconds. Default: 10 000. */
  connectTimeoutMs?: number | undefined;
  /** How long an answer to one of the proxy's own requests may take, as a whole, in milliseconds. Default: 10 000. */
  timeoutMs?: number | undefined;
}

const httpsUrl: Check<URL> = (value, path) => {
  const text = nonEmptyString(value, path);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url?.username === '' && url.password === '' && url.search === '' && url.hash === '';
  if (url?.protocol === 'https:' && isPlain) return url;
  // A URL may hold a password.
  throw new InvalidOptionError(
    path,
    'must be an https URL such as https://10.0.0.1:6443, without user or query',
  );
};

const checkOptions = objectOf({
  server: httpsUrl,
  certificateAuthority: optional(authorities),
  serverName: optional(nonEmptyString),
  clientCertificate: optional(pem),
  clientKey: optional(pem),
  tls: optional(tlsSource),
  token: optional(token),
  tokenFile: optional(nonEmptyString),
  connectTimeoutMs: withDefault(milliseconds(1), 10_000),
  timeoutMs: withDefault(milliseconds(1), 10_000),
} satisfies Record<keyof UpstreamClientOptions, Check<unknown>>);

type Checked = ReturnType<typeof checkOptions>;

/** What an {@link UpstreamClient} works with. */
export interface UpstreamSettings {
  readonly server: URL;
  readonly serverName: string | undefined;
  /** Authorities, and our own certificate and key, as they are now. */
  readonly credentials: () => TlsCredentials;
  readonly tellToken: TokenSource | undefined;
  readonly connectTimeoutMs: number;
  readonly timeoutMs: number;
}

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkUpstreamOptions(options: unknown): UpstreamSettings {
  const checked = checkOptions(options, '');
  const { server, serverName, connectTimeoutMs, timeoutMs } = checked;
  refuseHalves(checked);
  const credentials = credentialsOf(checked);
  judge(checked, credentials());
  return { server, serverName, credentials, tellToken: tokenOf(checked), connectTimeoutMs, timeoutMs };
}

function refuseHalves({
  clientCertificate,
  clientKey,
  certificateAuthority,
  tls,
  token,
  tokenFile,
}: Checked): void {
  if ((clientCertificate === undefined) !== (clientKey === undefined)) {
    const [missing, other] =
      clientKey === undefined ? ['clientKey', 'clientCertificate'] : ['clientCertificate', 'clientKey'];
    throw new InvalidOptionError(missing, `is missing: ${other} is given`);
  }
  const told = tls === undefined ? {} : given(tls.current());
  const twice = [
    clientCertificate !== undefined && told.cert !== undefined && 'clientCertificate',
    certificateAuthority !== undefined && told.ca !== undefined && 'certificateAuthority',
  ].find((option) => option !== false);
  if (twice !== undefined)
    throw new InvalidOptionError(twice, 'stands beside tls, which tells it: give one of the two');
  if (token !== undefined && tokenFile !== undefined)
    throw new InvalidOptionError('tokenFile', 'stands beside token: give one of the two');
}

/** The same object as before unless something has changed. */
function credentialsOf(checked: Checked): () => TlsCredentials {
  const { tls, certificateAuthority, clientCertificate, clientKey } = checked;
  const own: TlsCredentials = {
    ...(certificateAuthority !== undefined && { ca: [certificateAuthority].flat() }),
    ...(clientCertificate !== undefined && { cert: clientCertificate, key: clientKey }),
  };
  if (tls === undefined) return () => own;
  let told: TlsCredentials | undefined;
  let merged = own;
  return () => {
    const now = tls.current();
    if (now !== told) merged = { ...given(now), ...own };
    told = now;
    return merged;
  };
}

/** The options' names of Node's TLS, and ours. */
const OURS: Readonly<Record<string, keyof UpstreamClientOptions>> = {
  ca: 'certificateAuthority',
  cert: 'clientCertificate',
  key: 'clientKey',
  // Key and certificate are good, but not for each other.
  options: 'clientKey',
};

function judge({ tls }: Checked, credentials: TlsCredentials): void {
  try {
    checkCredentials(credentials);
  } catch (error) {
    if (!(error instanceof InvalidOptionError)) throw error;
    const { option, message, cause } = error;
    const name = tls === undefined ? (OURS[option] ?? option) : 'tls.current()';
    const because = cause === undefined ? {} : { cause };
    throw new InvalidOptionError(name, message.slice(option.length + 1), because);
  }
}

function tokenOf({ token: own, tokenFile: path }: Checked): TokenSource | undefined {
  return path === undefined ? own : tokenFile(path);
}
