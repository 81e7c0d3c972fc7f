import type { Agent } from 'node:https';
import { isDeepStrictEqual } from 'node:util';
import type { Dialer } from '../dialer.js';
import { InvalidOptionError } from '../errors.js';
import { httpsAgent } from '../http/https-agent.js';
import { tlsSource, given, type TlsCredentials, type TlsSource } from '../tls/tls-source.js';
import {
  arrayOf,
  boolean,
  describeKind,
  milliseconds,
  nonEmptyString,
  objectOf,
  oneOf,
  optional,
  port,
  withDefault,
  type Check,
} from '../validation.js';
import type { KubeletAccess } from './kubelet-access.js';
import {
  endpointOf,
  KUBELET_ADDRESS_TYPES,
  type KubeletAddressType,
  type KubeletEndpoint,
  type KubeletNode,
  type KubernetesNodeObject,
} from './kubelet-node.js';
import { checkToken, tokenFile, type TokenSource } from './token.js';
import { agentOptionsFor, pin, type Verification } from './verification.js';

/** PEM. */
type Pem = string | Buffer;

/**
 * Options of a {@link KubeletClient}. Exactly one of `certificateAuthority`, `tls` that tells authorities, `pinnedCertificate` and
 * `insecureSkipTLSVerify` says how the kubelet is verified; there is no default.
 */
export interface KubeletClientOptions {
  /**
   * Whose kubelet: the node's name, which is its address, too; or name, address and port; or a Node as the cluster's API tells it. The
   * dialer has to know the node by this name, and it carries everything.
   */
  node: string | KubeletNode | KubernetesNodeObject;
  /** The kubelet's port, unless the node says another. Default: 10250. */
  port?: number | undefined;
  /**
   * Which address of a Node of Kubernetes is dialled: the first of the first type that it has. Default: `['Hostname', 'InternalDNS',
   * 'InternalIP', 'ExternalDNS', 'ExternalIP']`, as kube-apiserver.
   */
  addressTypes?: readonly KubeletAddressType[] | undefined;
  /** Authorities that have issued the kubelet's certificate, which must be for the address that is dialled; in PEM. */
  certificateAuthority?: Pem | readonly Pem[] | undefined;
  /**
   * Whether the certificate must also be the node's own, `system:node:<name>` in `system:nodes`, as kube-apiserver does with
   * `--enable-kubelet-cert-cn-validation`. Default: `false`.
   */
  verifySubject?: boolean | undefined;
  /** The name that the certificate must be for in place of the address that is dialled. */
  serverName?: string | undefined;
  /**
   * SHA-256 fingerprint of the kubelet's certificate, in hexadecimal digits with or without colons, as `openssl x509 -fingerprint -sha256`
   * shows it. For a kubelet that has signed its certificate itself; its names and its age do not matter then.
   */
  pinnedCertificate?: string | undefined;
  /** `true`: whoever answers is believed, gets the token, and may forge what it says. */
  insecureSkipTLSVerify?: boolean | undefined;
  /** Our certificate, in PEM, and those that lead to the kubelet's client CA. */
  clientCertificate?: Pem | undefined;
  /** Its private key, in PEM. */
  clientKey?: Pem | undefined;
  /** Bearer token, or a function that tells it for each request. */
  token?: string | TokenSource | undefined;
  /** Path of a file with the bearer token. It is read again when it changes. */
  tokenFile?: string | undefined;
  /** Authorities, certificate and key that change: `tlsFiles(…)`, or a source of your own. */
  tls?: TlsSource | undefined;
  /**
   * How long a call may take, in milliseconds: one for an answer until that is there as a whole, `exec`, `attach` and `portForward` until the
   * stream is open, unless they say otherwise. `logs` has no deadline. Default: 30 000.
   */
  timeoutMs?: number | undefined;
}

const pem: Check<Pem> = (value, path) => {
  if ((typeof value === 'string' && value !== '') || Buffer.isBuffer(value)) return value;
  throw new InvalidOptionError(path, `must be PEM as a string or Buffer, got ${describeKind(value)}`);
};

const authorities: Check<Pem | readonly Pem[]> = (value, path) =>
  Array.isArray(value) ? arrayOf(pem)(value, path) : pem(value, path);

const addressTypes: Check<readonly KubeletAddressType[]> = (value, path) => {
  const types = arrayOf(oneOf(...KUBELET_ADDRESS_TYPES))(value, path);
  if (types.length > 0) return types;
  throw new InvalidOptionError(path, 'must name at least one type of address');
};

const fingerprint: Check<string> = (value, path) => {
  const digits = nonEmptyString(value, path).replaceAll(':', '').toUpperCase();
  if (/^[0-9A-F]{64}$/.test(digits)) return digits;
  throw new InvalidOptionError(
    path,
    'must be a SHA-256 fingerprint, 64 hexadecimal digits with or without colons, as openssl x509 -fingerprint -sha256 shows it',
  );
};

const token: Check<TokenSource> = (value, path) => {
  if (typeof value === 'function') return value as TokenSource;
  const checked = checkToken(value, path);
  return () => checked;
};

const checkOptions = objectOf({
  node: (value: unknown) => value,
  port: optional(port),
  addressTypes: withDefault(addressTypes, KUBELET_ADDRESS_TYPES),
  certificateAuthority: optional(authorities),
  verifySubject: withDefault(boolean, false),
  serverName: optional(nonEmptyString),
  pinnedCertificate: optional(fingerprint),
  insecureSkipTLSVerify: withDefault(boolean, false),
  clientCertificate: optional(pem),
  clientKey: optional(pem),
  token: optional(token),
  tokenFile: optional(nonEmptyString),
  tls: optional(tlsSource),
  timeoutMs: withDefault(milliseconds(1), 30_000),
} satisfies Record<keyof KubeletClientOptions, Check<unknown>>);

type Checked = ReturnType<typeof checkOptions>;

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
  checked: Checked,
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

/** As a source in any case, so that no key is among the agent's options, where `util.inspect` shows it. */
function credentialsOf({ tls, certificateAuthority, clientCertificate, clientKey }: Checked): TlsSource {
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

function verificationOf(checked: Checked): Verification {
  const { tls, certificateAuthority, pinnedCertificate, insecureSkipTLSVerify, verifySubject } = checked;
  const told = tls === undefined ? {} : given(tls.current());
  const ways = [
    certificateAuthority !== undefined && 'certificateAuthority',
    told.ca !== undefined && 'tls',
    pinnedCertificate !== undefined && 'pinnedCertificate',
    insecureSkipTLSVerify && 'insecureSkipTLSVerify',
  ].filter((way) => way !== false);
  const [way, other] = ways;
  if (way === undefined) {
    const problem =
      "is missing: give the authority of the kubelet's certificate, or tls with a caFile, or pinnedCertificate; insecureSkipTLSVerify: true believes anybody";
    throw new InvalidOptionError('certificateAuthority', problem);
  }
  if (other !== undefined)
    throw new InvalidOptionError(
      other,
      `stands beside ${way}, which verifies otherwise: give one of the two`,
    );
  const isByChain = way === 'certificateAuthority' || way === 'tls';
  for (const option of ['verifySubject', 'serverName'] as const) {
    if (!isByChain && Boolean(checked[option]))
      throw new InvalidOptionError(
        option,
        `has no meaning with ${way}: the names in the certificate are not looked at`,
      );
  }
  if (isByChain) return { kind: 'chain-and-name', subjectToo: verifySubject };
  return pinnedCertificate === undefined
    ? { kind: 'none' }
    : { kind: 'pinned', fingerprint: pinnedCertificate };
}

function tokenOf({
  token: own,
  tokenFile: path,
  clientCertificate,
  clientKey,
  tls,
}: Checked): TokenSource | undefined {
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

/** The options' names of Node's TLS, and ours. */
const OURS: Readonly<Record<string, keyof KubeletClientOptions>> = {
  ca: 'certificateAuthority',
  cert: 'clientCertificate',
  key: 'clientKey',
  servername: 'serverName',
};

function inOurWords(error: unknown, { tls }: Checked): unknown {
  if (!(error instanceof InvalidOptionError)) return error;
  const { option, message, cause } = error;
  // Key and certificate are good, but not for each other.
  const ours = option === 'options' ? 'clientKey' : OURS[option];
  const isOurs = ours !== undefined && (tls === undefined || ours === 'serverName');
  const name = isOurs ? ours : ours === undefined ? option : 'tls.current()';
  return new InvalidOptionError(name, message.slice(option.length + 1), cause === undefined ? {} : { cause });
}
