import { InvalidOptionError } from '../errors.js';
import { tlsSource } from '../tls/tls-source.js';
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
import type { KubeletClientOptions, Pem } from './client-options.js';
import { KUBELET_ADDRESS_TYPES, type KubeletAddressType } from './kubelet-node.js';
import { checkToken, type TokenSource } from './token.js';

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

/** Each option by itself; what they say of each other is judged where it is used. */
export const checkOptions = objectOf({
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

export type CheckedOptions = ReturnType<typeof checkOptions>;
