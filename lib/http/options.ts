import type { AgentOptions as HttpAgentOptions } from 'node:http';
import type { AgentOptions as HttpsAgentOptions } from 'node:https';
import { InvalidOptionError } from '../errors.js';
import {
  boolean,
  callable,
  describeKind,
  integer,
  milliseconds,
  nonEmptyString,
  oneOf,
  optional,
  refuseMisspelt,
  type Check,
} from '../validation.js';
import { checkCredentials } from '../tls/check-credentials.js';
import { tlsSource, type TlsSource } from '../tls/tls-source.js';

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
 * What Node has options for that we do not judge: agents, `net.connect`, `tls.connect` and `tls.createSecureContext`, of Node 20 to 24. Node
 * says nothing of one that it does not know, and a later Node may know more: of those that are not here only what looks like one that is
 * here is refused.
 */
const NODES =
  'ALPNCallback ALPNProtocols SNICallback agentKeepAliveTimeoutBuffer allowHalfOpen allowPartialTrustChain autoSelectFamily autoSelectFamilyAttemptTimeout ' +
  'blockList ca cert ciphers clientCertEngine crl defaultPort dhparam ecdhCurve enableTrace family hints honorCipherOrder host highWaterMark keepAliveInitialDelay ' +
  'key localAddress localPort lookup maxVersion minDHSize minVersion noDelay onread passphrase path pfx port privateKeyEngine privateKeyIdentifier ' +
  'protocol pskCallback readable requestCert requestOCSP secureContext secureOptions secureProtocol session sessionIdContext sessionTimeout sigalgs signal ticketKeys writable';

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
 * Options that others than we judge, too: those that `checks` knows are checked, `undefined` ones left out, and one that looks like a
 * known one misspelt refused.
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
  refuseMisspelt(Object.keys(options), [...ours, ...Object.keys(checks), ...NODES.split(' ')], '');
  for (const [name, value] of given) optional(checks[name] ?? asIs)(value, name);
  return Object.fromEntries(given) as T;
}

function asIs(value: unknown): unknown {
  return value;
}

/** `servername: ''` turns server name indication off. */
function hostNameOrEmpty(value: unknown, path: string): string {
  return value === '' ? value : nonEmptyString(value, path);
}
