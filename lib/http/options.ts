import { X509Certificate } from 'node:crypto';
import type { AgentOptions as HttpAgentOptions } from 'node:http';
import type { AgentOptions as HttpsAgentOptions } from 'node:https';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { InvalidOptionError } from '../errors.js';
import {
  boolean,
  callable,
  describeKind,
  integer,
  looksLikePath,
  milliseconds,
  nonEmptyString,
  oneOf,
  optional,
  refuseMisspelt,
  type Check,
} from '../validation.js';
import { refuseBoth, given, tlsSource, type TlsSource } from '../tls/tls-source.js';

interface NodeOption {
  /**
   * Name of the node that must carry the requests. Default: routed by the request's host, as `dial` does.
   */
  node?: string | undefined;
}

/**
 * Options of {@link httpAgent}: those of Node's `http.Agent`, with `keepAlive` true unless said otherwise.
 * Options of the TCP socket, such as `localAddress`, `family` and `lookup`, have no effect: names are
 * resolved on the node.
 */
export interface TunnelHttpAgentOptions extends HttpAgentOptions, NodeOption {}

/** Options of {@link httpsAgent}: those of {@link httpAgent} and of `node:tls`. */
export interface TunnelHttpsAgentOptions extends HttpsAgentOptions, NodeOption {
  /**
   * How long the endpoint may take for the TLS handshake, once it was reached, in milliseconds. Default: 10
   * 000.
   */
  tlsHandshakeTimeoutMs?: number | undefined;
  /**
   * Tells `ca`, `cert` and `key` in their place, as they are when a connection is made: `tlsFiles(…)`, or a source of your own. Connections
   * that are up stay in use; TLS sessions are not resumed from before a change.
   */
  tls?: TlsSource | undefined;
}

const limit: Check<number> = (value, path) => {
  if (value === Infinity) return Infinity;
  return integer(1, Number.MAX_SAFE_INTEGER)(value, path);
};

export const unusable: Check<never> = (_value, path) => {
  throw new InvalidOptionError(path, 'cannot be used with a tunnel: it would go around it');
};

/**
 * What Node would take without a word, or refuse at the first request only. Whatever is not here is judged by
 * Node.
 */
const agentChecks: Record<string, Check<unknown>> = {
  node: nonEmptyString,
  keepAlive: boolean,
  keepAliveMsecs: milliseconds(),
  maxSockets: limit,
  maxTotalSockets: limit,
  maxFreeSockets: limit,
  scheduling: oneOf('fifo', 'lifo'),
  timeout: milliseconds(),
  socketPath: unusable,
  proxyEnv: unusable,
};

/** Of a TLS connection, whoever makes it. */
export const tlsChecks: Record<string, Check<unknown>> = {
  tlsHandshakeTimeoutMs: milliseconds(1),
  rejectUnauthorized: boolean,
  servername: hostNameOrEmpty,
  checkServerIdentity: callable,
  maxCachedSessions: integer(0, Number.MAX_SAFE_INTEGER),
  socket: unusable,
  tls: tlsSource,
};

const httpsAgentChecks = { ...agentChecks, ...tlsChecks };

/** The options that Node's agents do not have; Node takes any that it does not know. */
const OURS = ['node', 'tlsHandshakeTimeoutMs', 'tls'];

/**
 * Options for Node's `http.Agent`: checked, without those that are `undefined`.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function checkHttpOptions(options: TunnelHttpAgentOptions): TunnelHttpAgentOptions {
  return checkEach(options, agentChecks, OURS);
}

/**
 * Options for Node's `https.Agent`: checked, certificates and keys included, without those that are
 * `undefined`.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function checkHttpsOptions(options: TunnelHttpsAgentOptions): TunnelHttpsAgentOptions {
  const checked = checkEach(options, httpsAgentChecks, OURS);
  checkCredentials(checked);
  return checked;
}

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

/**
 * Options that others than we judge, too: those that `checks` knows are checked, `undefined` ones left out, and one that looks like one
 * of `ours` misspelt refused.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function checkEach<T extends object>(
  options: T,
  checks: Record<string, Check<unknown>>,
  ours: readonly string[],
): T {
  if (typeof (options as unknown) !== 'object' || (options as unknown) === null || Array.isArray(options)) {
    throw new InvalidOptionError('options', `must be an object, got ${describeKind(options)}`);
  }
  // `tls.connect` fails on an assertion for some options that are there but undefined.
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  refuseMisspelt(Object.keys(options), ours, '');
  for (const [name, value] of given) optional(checks[name] ?? asIs)(value, name);
  return Object.fromEntries(given) as T;
}

function asIs(value: unknown): unknown {
  return value;
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

/** `servername: ''` turns server name indication off. */
function hostNameOrEmpty(value: unknown, path: string): string {
  return value === '' ? value : nonEmptyString(value, path);
}
