import type { ConnectionOptions } from 'node:tls';
import { abortSignal, boolean, integer, milliseconds, nonEmptyString, type Check } from '../validation.js';
import type { TlsSource } from '../tls/tls-source.js';
import { checkCredentials } from '../tls/check-credentials.js';
import { checkEach, tlsChecks, unusable } from './options.js';

/** Which node carries a connection, and how long it may take to make one. */
export interface TunnelConnectionOptions {
  /** Name of the node that must carry the connections. Default: routed by host, as `dial` does. */
  node?: string | undefined;
  /** Deadline of each dial in milliseconds. Default: the dialer's `timeouts.dialMs`. */
  dialTimeoutMs?: number | undefined;
  /** Gives up, with its reason, the dials and TLS handshakes under way, and those that are asked for later. Streams that are up live on. */
  signal?: AbortSignal | undefined;
}

/** What `node:tls` takes, without what a tunnel decides, and what ours takes besides. */
export interface TunnelTlsConnectionOptions
  extends
    TunnelConnectionOptions,
    Omit<
      ConnectionOptions,
      | 'ALPNProtocols'
      | 'allowHalfOpen'
      | 'host'
      | 'lookup'
      | 'path'
      | 'port'
      | 'session'
      | 'socket'
      | 'timeout'
    > {
  /** How long an endpoint may take for the TLS handshake, once it was reached, in milliseconds. Default: 10 000. */
  tlsHandshakeTimeoutMs?: number | undefined;
  /** Tells `ca`, `cert` and `key` in their place, as they are when a connection is made: `tlsFiles(…)`, or a source of your own. */
  tls?: TlsSource | undefined;
}

/** Options of {@link undiciConnector}. */
export interface UndiciConnectorOptions extends TunnelTlsConnectionOptions {
  /** Whether HTTP/2 is offered to endpoints that speak TLS. Default: `false`. */
  allowH2?: boolean | undefined;
  /** How many TLS sessions are kept, one for each endpoint, to be resumed. 0 is none. Default: 100. */
  maxCachedSessions?: number | undefined;
}

const connectionChecks: Record<string, Check<unknown>> = {
  node: nonEmptyString,
  dialTimeoutMs: milliseconds(1),
  signal: abortSignal,
  socketPath: unusable,
  path: unusable,
};

const undiciChecks: Record<string, Check<unknown>> = {
  ...connectionChecks,
  ...tlsChecks,
  allowH2: boolean,
  maxCachedSessions: integer(0, Number.MAX_SAFE_INTEGER),
};

const OURS = [
  'node',
  'dialTimeoutMs',
  'signal',
  'tlsHandshakeTimeoutMs',
  'tls',
  'allowH2',
  'maxCachedSessions',
];

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION` */
export function checkConnectionOptions(options: TunnelConnectionOptions): TunnelConnectionOptions {
  return checkEach(options, connectionChecks, OURS);
}

/** @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`, also for a key or certificate that is none */
export function checkTlsOptions<T extends TunnelTlsConnectionOptions>(options: T): T {
  const checked = checkEach(options, undiciChecks, OURS);
  checkCredentials(checked);
  return checked;
}
