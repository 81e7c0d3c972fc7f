import type { Agent } from 'node:https';
import type { Dialer } from '../dialer.js';
import { InvalidOptionError } from '../errors.js';
import { httpsAgent } from '../http/https-agent.js';
import { verificationOf } from './chosen-verification.js';
import type { KubeletClientOptions } from './client-options.js';
import { credentialsOf, tokenOf } from './credentials.js';
import { endpointOf, type KubeletEndpoint } from './kubelet-node.js';
import { checkOptions, type CheckedOptions } from './options.js';
import { checkToken } from './token.js';
import { agentOptionsFor, pin, type Verification } from './verification.js';

/** How to reach one kubelet and to be known to it. */
export interface KubeletAccess {
  /** The node's name, which also carries the connection. */
  readonly node: string;
  /** The address that is dialled, and that the kubelet's certificate must be for. */
  readonly host: string;
  readonly port: number;
  /** How long an answer may take that is no stream, and a stream to open, unless its call says otherwise; in milliseconds. */
  readonly timeoutMs: number;
  /** Goes through the dialer, verifies the kubelet and shows the client certificate, if any. */
  readonly agent: Agent;
  /** `Authorization`, if any, as it is now: for each request anew, and never for a message. */
  headers(): Promise<Record<string, string>>;
}

/** How long a connection to a kubelet is kept for the next request, in milliseconds; newer kubelets end one after 90 s. */
const KEPT_MS = 60_000;
/** As many requests at once find a connection that is up. */
const MAX_KEPT = 8;

/**
 * Checks the options and makes of them the way to the kubelet. Nothing is dialled.
 *
 * @throws {@link InvalidOptionError} `ERR_TUNNEL_INVALID_OPTION`
 */
export function accessFrom(dialer: Dialer, options: unknown): KubeletAccess {
  const checked = checkOptions(options, '');
  const endpoint = endpointOf(checked.node, checked.addressTypes, checked.port);
  const verification = verificationOf(checked);
  const tellToken = tokenOf(checked);
  const agent = agentFor(dialer, endpoint, verification, checked);
  return {
    ...endpoint,
    timeoutMs: checked.timeoutMs,
    agent,
    headers: async () => {
      if (tellToken === undefined) return {};
      return { authorization: `Bearer ${checkToken(await tellToken(), 'token()')}` };
    },
  };
}

function agentFor(
  dialer: Dialer,
  endpoint: KubeletEndpoint,
  verification: Verification,
  checked: CheckedOptions,
): Agent {
  try {
    const agent = httpsAgent(dialer, {
      node: endpoint.node,
      tls: credentialsOf(checked),
      servername: checked.serverName,
      timeout: KEPT_MS,
      maxFreeSockets: MAX_KEPT,
      ...agentOptionsFor(verification, endpoint),
    });
    if (verification.kind === 'pinned') pin(agent, verification.fingerprint, endpoint);
    return agent;
  } catch (error) {
    throw inOurWords(error, checked);
  }
}

/** The options' names of Node's TLS, and ours. */
const OURS: Readonly<Record<string, keyof KubeletClientOptions>> = {
  ca: 'certificateAuthority',
  cert: 'clientCertificate',
  key: 'clientKey',
  servername: 'serverName',
};

function inOurWords(error: unknown, { tls }: CheckedOptions): unknown {
  if (!(error instanceof InvalidOptionError)) return error;
  const { option, message, cause } = error;
  // Key and certificate are good, but not for each other.
  const ours = option === 'options' ? 'clientKey' : OURS[option];
  const isOurs = ours !== undefined && (tls === undefined || ours === 'serverName');
  const name = isOurs ? ours : ours === undefined ? option : 'tls.current()';
  return new InvalidOptionError(name, message.slice(option.length + 1), cause === undefined ? {} : { cause });
}
