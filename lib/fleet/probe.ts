import { request as httpRequest, type IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as startTls, createSecureContext, type SecureContext } from 'node:tls';
import type { TunnelSocket } from '../dialer.js';
import { InvalidOptionError, formatEndpoint } from '../errors.js';
import { given, refuseBoth, tlsSource, type TlsCredentials, type TlsSource } from '../tls/tls-source.js';
import {
  boolean,
  integer,
  milliseconds,
  objectOf,
  oneOf,
  optional,
  port,
  withDefault,
} from '../validation.js';
import type { Check } from '../validation.js';

/** What every probe has. */
interface AnyProbeOptions {
  /** Port on the node. Default: the node's `kubeletPort`. */
  port?: number | undefined;
  /** How often each node is probed, in milliseconds; the nodes are spread evenly over that time. Default: 30 000. */
  intervalMs?: number | undefined;
  /** How long one probe may take, in milliseconds. Default: 5000. */
  timeoutMs?: number | undefined;
}

/** Opens a stream, and closes it. */
export interface TcpProbeOptions extends AnyProbeOptions {
  kind: 'tcp';
}

/** Asks for a path. */
export interface HttpProbeOptions extends AnyProbeOptions {
  kind: 'http';
  /** What is asked for. Default: `/healthz`. */
  path?: string | undefined;
  /** The status that is health. Default: 200. */
  expectedStatus?: number | undefined;
}

/** Asks for a path over TLS. */
export interface HttpsProbeOptions extends Omit<HttpProbeOptions, 'kind'> {
  kind: 'https';
  /** Authorities of the endpoint's certificate, as in `node:tls`. Default: those of Node. */
  ca?: string | Buffer | readonly (string | Buffer)[] | undefined;
  /** Client certificate, as in `node:tls`. */
  cert?: string | Buffer | undefined;
  /** Its private key, as in `node:tls`. */
  key?: string | Buffer | undefined;
  /** Tells `ca`, `cert` and `key` in their place, as they are when a probe is made: `tlsFiles(…)`, or a source of your own. */
  tls?: TlsSource | undefined;
  /** Whether the endpoint's certificate is verified, against the node's address. Default: `true`. */
  rejectUnauthorized?: boolean | undefined;
}

/** A check of every node's health through its tunnel, again and again. */
export type ProbeOptions = TcpProbeOptions | HttpProbeOptions | HttpsProbeOptions;

/** {@link ProbeOptions} with defaults filled in, certificates parsed. */
export interface CheckedProbe {
  readonly kind: ProbeOptions['kind'];
  readonly port: number | undefined;
  readonly path: string;
  readonly expectedStatus: number;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly rejectUnauthorized: boolean;
  /** For the next connection; `undefined` unless the kind is `https`. */
  readonly secureContext: () => SecureContext | undefined;
}

const path: Check<string> = (value, option) => {
  if (typeof value === 'string' && /^\/[!-~]*$/.test(value)) return value;
  throw new InvalidOptionError(option, 'must be a path that begins with /, in printable ASCII');
};

/** Judged by `node:tls`, and not shown. */
const secret: Check<unknown> = (value) => value;

const checkShape = objectOf({
  kind: oneOf('tcp', 'http', 'https'),
  port: optional(port),
  path: withDefault(path, '/healthz'),
  expectedStatus: withDefault(integer(200, 599), 200),
  intervalMs: withDefault(milliseconds(1), 30_000),
  timeoutMs: withDefault(milliseconds(1), 5000),
  ca: secret,
  cert: secret,
  key: secret,
  tls: optional(tlsSource),
  rejectUnauthorized: withDefault(boolean, true),
} satisfies Record<keyof HttpsProbeOptions, Check<unknown>>);

const TLS_OPTIONS = ['ca', 'cert', 'key', 'tls', 'rejectUnauthorized'] as const;

/** What a kind of probe has no use for. Passed over in silence it would look as if it were heeded. */
const MEANINGLESS: Record<ProbeOptions['kind'], readonly (keyof HttpsProbeOptions)[]> = {
  tcp: ['path', 'expectedStatus', ...TLS_OPTIONS],
  http: TLS_OPTIONS,
  https: [],
};

/** The types say so, too, to those who have types. */
function refuseContradictions(
  probe: Omit<HttpsProbeOptions, 'kind'> & Pick<ProbeOptions, 'kind'>,
  option: string,
): void {
  const { kind, ca, cert, key } = probe;
  const meaningless = MEANINGLESS[kind].find((name) => probe[name] !== undefined);
  if (meaningless !== undefined) {
    throw new InvalidOptionError(`${option}.${meaningless}`, `has no meaning for a probe of kind '${kind}'`);
  }
  if ((cert === undefined) !== (key === undefined)) {
    const missing = cert === undefined ? 'cert' : 'key';
    throw new InvalidOptionError(`${option}.${missing}`, 'is missing: cert and key belong together');
  }
  if (ca !== undefined && !isPem(ca)) {
    throw new InvalidOptionError(`${option}.ca`, 'must be certificates in PEM form; read the file first');
  }
}

/** Node passes over what is no certificate, and then knows no authority at all. */
function isPem(ca: unknown): boolean {
  const all: unknown[] = Array.isArray(ca) ? ca : [ca];
  const textOf = (one: unknown): string =>
    one instanceof Uint8Array ? Buffer.from(one).toString('latin1') : String(one);
  return all.length > 0 && all.every((one) => /-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/.test(textOf(one)));
}

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export const checkProbe: Check<CheckedProbe> = (value, option) => {
  const { ca, cert, key, tls, ...probe } = checkShape(value, option);
  if (tls !== undefined) refuseBoth({ ca, cert, key }, option);
  refuseContradictions(value as HttpsProbeOptions, option);
  if (probe.kind !== 'https') return { ...probe, secureContext: () => undefined };
  const own = { ca, cert, key } as TlsCredentials;
  const secureContext = contextOf(tls ?? { current: () => own });
  try {
    secureContext();
  } catch (error) {
    if (error instanceof InvalidOptionError) throw error;
    // Node's message may quote what was given, a key perhaps.
    throw new InvalidOptionError(option, 'has a ca, cert or key that cannot be used');
  }
  return { ...probe, secureContext };
};

/** Parses what a source tells once for all connections, until that becomes something else. */
function contextOf(source: TlsSource): () => SecureContext {
  let latest: { readonly credentials: TlsCredentials; readonly context: SecureContext } | undefined;
  return () => {
    const credentials = source.current();
    const known = latest?.credentials === credentials ? latest : undefined;
    latest = known ?? { credentials, context: createSecureContext(given(credentials)) };
    return latest.context;
  };
}

/** The endpoint answered, but not as it should. */
export class ProbeError extends Error {
  readonly code = 'ERR_TUNNEL_PROBE';
  override readonly name = 'ProbeError';
}

/**
 * Asks an endpoint on a stream whether it is well. The stream is destroyed in any case.
 *
 * @throws {@link ProbeError}, the stream's error, or the signal's reason
 */
export async function ask(stream: TunnelSocket, probe: CheckedProbe, signal: AbortSignal): Promise<void> {
  try {
    if (probe.kind !== 'tcp') await askHttp(stream, probe, signal);
  } finally {
    stream.destroy();
  }
}

function askHttp(stream: TunnelSocket, probe: CheckedProbe, signal: AbortSignal): Promise<void> {
  const host = stream.remoteAddress ?? '';
  const { path, expectedStatus } = probe;
  return new Promise((resolve, reject) => {
    const judge = ({ statusCode }: IncomingMessage): void => {
      if (statusCode === expectedStatus) resolve();
      else reject(new ProbeError(`${path} answered ${String(statusCode)} instead of ${expectedStatus}`));
    };
    const headers = { host: formatEndpoint(host, stream.remotePort ?? 0), connection: 'close' };
    httpRequest({ createConnection: () => secured(stream, host, probe), path, headers, signal })
      .on('response', judge)
      // Without a listener Node ends the request here, and neither `response` nor `error` ever comes.
      .on('upgrade', judge)
      .on('error', (error) => reject(signal.aborted ? (signal.reason as Error) : error))
      .end();
  });
}

function secured(stream: TunnelSocket, host: string, probe: CheckedProbe): Duplex {
  const { kind, secureContext, rejectUnauthorized } = probe;
  if (kind !== 'https') return stream;
  // No name is asked for an IP address (RFC 6066 §3), which is verified all the same.
  const servername = isIP(host) === 0 ? host : '';
  return startTls({ socket: stream, host, servername, rejectUnauthorized, secureContext: secureContext() });
}
